/** Live events: what runs is kept here as the hub tells it; lists that it touches are asked for again, at most once a second. */
import type { QueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { apiUrl } from './client.ts'

export type LiveJob = {
  backup_id: string
  vm_name: string
  vm_context_id: string | null
  repository_id: string
  backup_type: 'full' | 'incremental'
  status: string
  current_phase: string
  progress_percent: number
  bytes_transferred: number
  total_bytes: number
  transfer_speed_bps: number
  eta_seconds: number | null
  error_message: string | null
  completed_at: string | null
}
type Speed = { at: number; bytesPerSecond: number }
type Live = {
  isConnected: boolean
  jobs: ReadonlyMap<string, LiveJob>
  /** Of all jobs together, the last minutes. */
  speeds: readonly Speed[]
}

const speedsKept = 300
let live: Live = { isConnected: false, jobs: new Map(), speeds: [] }
const listeners = new Set<() => void>()
const change = (next: Partial<Live>) => {
  live = { ...live, ...next }
  for (const tell of listeners) tell()
}
const subscribe = (tell: () => void) => {
  listeners.add(tell)
  return () => void listeners.delete(tell)
}
export const useLive = () => useSyncExternalStore(subscribe, () => live)
export const isRunning = ({ status }: { status: string }) => ['started', 'in_progress', 'stalled'].includes(status)
export const runningJobs = ({ jobs }: Live) => [...jobs.values()].filter(isRunning)

/** Lists that an event makes old. */
const touched: Record<string, string[]> = {
  job: ['summary', 'vms', 'vm', 'backups', 'backup'],
  mount: ['mounts'],
  execution: ['flows', 'flow', 'schedules'],
  repository: ['repositories'],
}

/** Listens as long as the page is seen: a hidden one would hold one of the few connections that a browser makes to a host. */
export const useLiveEvents = (client: QueryClient, isOn: boolean) => {
  useEffect(() => {
    if (!isOn) return
    let source: EventSource | undefined
    const due = new Set<string>()
    let timer: number | undefined
    const refresh = (type: string) => {
      for (const key of touched[type] ?? []) due.add(key)
      timer ??= window.setTimeout(() => {
        timer = undefined
        for (const key of due) void client.invalidateQueries({ queryKey: [key] })
        due.clear()
      }, 1000)
    }
    const onJob = ({ data }: MessageEvent<string>) => {
      const job = JSON.parse(data) as LiveJob
      const before = live.jobs.get(job.backup_id)
      const jobs = new Map(live.jobs).set(job.backup_id, job)
      // What has ended is in the lists.
      if (jobs.size > 1000) for (const [id, one] of jobs) if (!isRunning(one)) jobs.delete(id)
      change({ jobs })
      // Progress is shown from here; lists change when a job begins, changes its state or ends.
      if (before?.status !== job.status || before.current_phase !== job.current_phase) refresh('job')
    }
    const open = () => {
      if (document.hidden) return
      source = new EventSource(apiUrl('/events'))
      source.onopen = () => change({ isConnected: true })
      source.onerror = () => change({ isConnected: false })
      source.addEventListener('job', onJob)
      for (const type of ['mount', 'execution', 'repository']) source.addEventListener(type, () => refresh(type))
    }
    const close = () => {
      source?.close()
      source = undefined
    }
    const onVisibility = () => {
      close()
      if (document.hidden) return
      change({ jobs: new Map() })
      open()
      void client.invalidateQueries()
    }
    const clock = window.setInterval(() => {
      const bytesPerSecond = runningJobs(live).reduce((sum, { transfer_speed_bps }) => sum + transfer_speed_bps, 0)
      change({ speeds: [...live.speeds, { at: Date.now(), bytesPerSecond }].slice(-speedsKept) })
    }, 1000)
    document.addEventListener('visibilitychange', onVisibility)
    open()
    return () => {
      document.removeEventListener('visibilitychange', onVisibility)
      window.clearInterval(clock)
      window.clearTimeout(timer)
      close()
      change({ isConnected: false })
    }
  }, [client, isOn])
}
