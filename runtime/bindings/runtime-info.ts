/** What the runtime knows about itself: its routes, its recent requests, its age. Lives in the process and is lost with it. */
export type RequestRecord = {
  timestamp: string
  method: string
  path: string
  status_code: number
  duration_ms: number
  remote_addr: string
  request_id: string
}
export type RouteInfo = { method: string; path: string; legacy: boolean }

export type RuntimeInfo = {
  startedAt: Date
  /** Of Node. */
  version: string
  cpuCores: number
  /** Bytes. */
  memory: () => { rss: number; heap_used: number; heap_total: number }
  swaggerAsset: (file: string) => { contentType: string; data: Buffer } | undefined
  routes: () => readonly RouteInfo[]
  openapi: () => unknown
  requests: RequestLog
}

/** Enough for `GET /debug/logs`; older requests are in the log file. */
const recordsMax = 1000

export class RequestLog {
  #records: RequestRecord[] = []
  #today = { day: '', requests: 0 }

  add(record: RequestRecord) {
    this.#records.push(record)
    if (this.#records.length > recordsMax) this.#records.shift()
    const day = record.timestamp.slice(0, 10)
    if (this.#today.day !== day) this.#today = { day, requests: 0 }
    this.#today.requests++
  }

  /** Newest first. */
  recent(): RequestRecord[] {
    return this.#records.toReversed()
  }

  requestsOn(day: string) {
    return this.#today.day === day ? this.#today.requests : 0
  }
}
