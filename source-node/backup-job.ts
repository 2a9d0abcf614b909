/** One backup as the node sees it: open the VM, copy its disks, report, complete each disk. */
import type { StartRequest } from '../contract/node.ts'
import { Callbacks, JobEnded } from './callbacks.ts'
import { log } from './log.ts'
import { openSource, type SourceContext } from './sources/open.ts'
import type { NbdTarget, OpenVm, SourceDisk } from './sources/source.ts'

export type DiskState = {
  index: number
  total: number
  done: number
  status: 'pending' | 'in_progress' | 'completed' | 'failed'
  error: string | null
  startedAt: number
  target: NbdTarget
}
export type JobState = {
  request: StartRequest
  status: 'running' | 'completed' | 'failed'
  phase: 'snapshot' | 'transferring' | 'finalizing' | 'completed'
  startedAt: Date
  updatedAt: Date
  error: string | null
  disks: DiskState[]
  /** Bytes a second, over the last few seconds. */
  speed: number
  peak: number
}

/** At least every 5 seconds says the contract; a person watches, so every second. */
const reportEveryMs = 1_000
/** Disks copied at the same time: more would only fight over the same disks and network. */
const disksAtOnce = 4
const stopWaitMs = 500

/** `2000:nbd://127.0.0.1:10100/name` by disk key. @throws Error when it is malformed */
export const parseTargets = (text: string): Map<number, NbdTarget> => {
  const targets = new Map<number, NbdTarget>()
  for (const part of text.split(',')) {
    const [, key, host, port, exportName] = /^(\d+):nbd:\/\/([^:/]+):(\d+)\/(.+)$/.exec(part) ?? []
    if (!key || !host || !port || !exportName)
      throw new Error(`nbd_targets: ${part.slice(0, 100)} is not <key>:nbd://<host>:<port>/<export>`)
    targets.set(Number(key), { host, port: Number(port), exportName: decodeURIComponent(exportName) })
  }
  return targets
}
const firstDiskKey = 2000

export class BackupJob {
  readonly state: JobState
  readonly #context: SourceContext
  readonly #abort = new AbortController()
  readonly #callbacks: Callbacks
  readonly done: Promise<void>

  constructor(request: StartRequest, context: SourceContext) {
    const targets = parseTargets(request.nbd_targets)
    this.#context = context
    this.#callbacks = new Callbacks(request, this.#abort.signal)
    const now = new Date()
    this.state = {
      request,
      status: 'running',
      phase: 'snapshot',
      startedAt: now,
      updatedAt: now,
      error: null,
      disks: [...targets].map(([key, target]) => ({
        index: key - firstDiskKey,
        total: 0,
        done: 0,
        status: 'pending',
        error: null,
        startedAt: 0,
        target,
      })),
      speed: 0,
      peak: 0,
    }
    this.done = this.#run()
  }

  /** Answers soon: a job that is reporting its own failure waits for the hub, which waits for this. */
  async stop(reason: string): Promise<void> {
    this.#abort.abort(new JobEnded(reason))
    let timer: NodeJS.Timeout | undefined
    const soon = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, stopWaitMs)
    })
    await Promise.race([this.done, soon])
    clearTimeout(timer)
  }

  async #run() {
    const { state } = this
    let vm: OpenVm | undefined
    const timer = setInterval(
      () => void this.#report('running').catch((error: Error) => this.#onReportError(error)),
      reportEveryMs,
    )
    try {
      await this.#report('running')
      vm = await (await openSource(this.#context, state.request.vcenter_host)).open({
        name: state.request.vm_name,
        path: state.request.vm_path,
      })
      state.phase = 'transferring'
      await this.#copyDisks(vm)
      state.phase = 'completed'
      state.status = 'completed'
      clearInterval(timer)
      await this.#report('completed').catch(() => undefined)
    } catch (error) {
      clearInterval(timer)
      state.status = 'failed'
      state.error = error instanceof Error ? error.message : String(error)
      log.error({ job: state.request.job_id, error: state.error }, 'backup failed')
      if (!(error instanceof JobEnded) && !this.#abort.signal.aborted)
        await this.#callbacks
          .call('POST', this.#telemetryPath(), { ...this.#telemetry('failed'), error: { message: state.error } })
          .catch(() => undefined)
    } finally {
      clearInterval(timer)
      await vm?.close()
      state.updatedAt = new Date()
    }
  }

  /** What the hub knows of the VM must be what the VM is: a disk that was added or resized since would be left out or cut. @throws Error */
  #checkDisks(vm: OpenVm) {
    const { request, disks } = this.state
    const again = 'run the discovery again, then a full backup'
    for (const { index } of vm.disks)
      if (!disks.some((disk) => disk.index === index)) throw new Error(`the hub does not know disk ${index}: ${again}`)
    for (const { disk_index, size_bytes } of request.disks ?? []) {
      const source = vm.disks.find(({ index }) => index === disk_index)
      if (source && source.size !== size_bytes)
        throw new Error(
          `disk ${disk_index} has ${source.size} bytes, not the ${size_bytes} that the hub knows: ${again}`,
        )
    }
  }

  async #copyDisks(vm: OpenVm) {
    this.#checkDisks(vm)
    const { disks } = this.state
    const queue = [...disks]
    const worker = async () => {
      for (let disk = queue.shift(); disk; disk = queue.shift()) {
        const source = vm.disks.find(({ index }) => index === disk.index)
        if (!source) throw new Error(`the VM has no disk ${disk.index}`)
        await this.#copyDisk(source, disk)
      }
    }
    const results = await Promise.allSettled(
      Array.from({ length: Math.min(disksAtOnce, disks.length) }, () =>
        worker().catch((error: unknown) => {
          // One disk's failure is the backup's: the others stop.
          this.#abort.abort(error)
          throw error
        }),
      ),
    )
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw await this.#failure(failed.reason)
  }

  /** After an abort that came from a disk, the report still has to reach the hub. */
  async #failure(reason: unknown) {
    if (reason instanceof JobEnded) return reason
    const message = reason instanceof Error ? reason.message : String(reason)
    const { request } = this.state
    await new Callbacks(request, AbortSignal.timeout(300_000))
      .call('POST', this.#telemetryPath(), { ...this.#telemetry('failed'), error: { message } })
      .catch(() => undefined)
    return reason
  }

  async #copyDisk(source: SourceDisk, disk: DiskState) {
    const { request } = this.state
    const isIncremental = request.backup_type === 'incremental'
    const since = isIncremental ? await this.#changeId(disk.index) : null
    disk.status = 'in_progress'
    disk.startedAt = performance.now()
    try {
      const progress = {
        setTotal: (bytes: number) => {
          disk.total = Math.max(disk.total, bytes)
        },
        setDone: (bytes: number) => {
          disk.done = Math.max(disk.done, bytes)
          this.#noteCopied()
        },
      }
      const { changeId, bytesTransferred } = await source.copy(
        disk.target,
        since,
        isIncremental,
        progress,
        this.#abort.signal,
      )
      // The figures first: after the last complete call the hub takes no more.
      await this.#report('running')
      await this.#complete(disk.index, changeId, bytesTransferred)
      disk.status = 'completed'
    } catch (error) {
      disk.status = 'failed'
      disk.error = error instanceof Error ? error.message : String(error)
      throw error
    }
  }

  /** All data is in the exports: said at once, since what comes next (checksums) is the hub's work. */
  #noteCopied() {
    const { state } = this
    if (state.phase !== 'transferring' || !state.disks.every(({ total, done }) => total > 0 && done >= total)) return
    state.phase = 'finalizing'
    void this.#report('running').catch((error: Error) => this.#onReportError(error))
  }

  async #changeId(diskIndex: number): Promise<string | null> {
    const query = new URLSearchParams({ vm_name: this.state.request.vm_name, disk_id: String(diskIndex) })
    const { status, body } = await this.#callbacks.call('GET', `/backups/changeid?${query}`)
    if (status === 200 && typeof body.change_id === 'string') return body.change_id
    if (status === 404) return null
    throw new Error(`the hub refused to name a change id: ${String(body.error ?? status)}`)
  }

  async #complete(diskIndex: number, changeId: string | null, bytesTransferred: number) {
    const { status, body } = await this.#callbacks.call(
      'POST',
      `/backups/${encodeURIComponent(this.state.request.job_id)}/complete`,
      {
        disk_id: diskIndex,
        change_id: changeId,
        bytes_transferred: bytesTransferred,
      },
    )
    if (status !== 200) throw new Error(`the hub did not complete disk ${diskIndex}: ${String(body.error ?? status)}`)
  }

  #telemetryPath() {
    return `/telemetry/backup/${encodeURIComponent(this.state.request.job_id)}`
  }

  #lastDone = { at: performance.now(), bytes: 0 }
  #telemetry(status: string) {
    const { state } = this
    const done = state.disks.reduce((sum, disk) => sum + disk.done, 0)
    const total = state.disks.reduce((sum, disk) => sum + disk.total, 0)
    const now = performance.now()
    const seconds = (now - this.#lastDone.at) / 1000
    if (seconds >= 0.5) {
      const recent = (done - this.#lastDone.bytes) / seconds
      state.speed = Math.round(state.speed === 0 ? recent : state.speed * 0.6 + recent * 0.4)
      state.peak = Math.max(state.peak, state.speed)
      this.#lastDone = { at: now, bytes: done }
    }
    state.updatedAt = new Date()
    return {
      status,
      current_phase: state.phase,
      bytes_transferred: done,
      total_bytes: total,
      transfer_speed_bps: Math.max(0, state.speed),
      eta_seconds: state.speed > 0 ? Math.ceil((total - done) / state.speed) : 0,
      timestamp: new Date().toISOString(),
      disks: state.disks.map((disk) => ({
        disk_index: disk.index,
        bytes_transferred: disk.done,
        total_bytes: disk.total,
        progress_percent: disk.total > 0 ? Math.min(100, (disk.done / disk.total) * 100) : 0,
        status: disk.status === 'pending' ? 'pending' : disk.status === 'completed' ? 'completed' : 'transferring',
      })),
    }
  }

  async #report(status: 'running' | 'completed') {
    await this.#callbacks.tryOnce(this.#telemetryPath(), this.#telemetry(status))
  }

  #onReportError(error: Error) {
    if (error instanceof JobEnded && this.state.status === 'running') this.#abort.abort(error)
  }
}
