/**
 * Everything at once: exports of running backups, mounts, clients that browse and download, and progress reports. Used by a short test and
 * by the long run under bench/.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ForeignNode, type ForeignVm, startForeignNode } from './foreign-node.ts'
import { type Hub, registerVm, startHub } from './hub.ts'
import { copyInto, filesystemImage } from './images.ts'
import { residentBytes } from './memory.ts'
import { freePorts } from './real-agent.ts'

const mib = 2 ** 20
const diskBytes = 64 * mib
const exportsAtOnce = 101
const mountsAtOnce = 8
/** Of a person who looks for a second at what a page shows. Drawn from half to one and a half of it: people do not click in step. */
const thinkMs = 1000
const usualLoad = { clients: 64, telemetryPerSecond: 200 }
const bigBytes = 8 * mib

export type LoadResult = {
  requests: number
  downloadedBytes: number
  telemetry: number
  /** Answers that were none of 2xx, as `status code`, with their number. */
  refusals: Record<string, number>
  /** Wrong bytes, broken connections, answers without a code. Empty when all is well. */
  failures: string[]
  /** Of requests that are no downloads, while downloads run; milliseconds. */
  p50: number
  p99: number
  /** Resident bytes of each process: after the first fifth of the time, and at the end. */
  memory: Record<'hub' | 'host-agent', { early: number; late: number }>
}

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

/** Clients at once and reports a second. */
type Load = { clients: number; telemetryPerSecond: number }
export type LoadedHub = {
  hub: Hub
  run: (seconds: number, load?: Load) => Promise<LoadResult>
  close: () => Promise<void>
}

export const openLoadedHub = async (): Promise<LoadedHub> => {
  const vms: ForeignVm[] = [
    { name: 'files', diskBytes: Array.from({ length: mountsAtOnce }, () => diskBytes) },
    ...Array.from({ length: exportsAtOnce }, (_, at) => ({ name: `vm-${at}`, diskBytes: [diskBytes] })),
  ]
  const node: ForeignNode = await startForeignNode(vms)
  const first = await freePorts(exportsAtOnce)
  const hub = await startHub({
    SENDENSE_NODE_URL: node.url,
    SENDENSE_NBD_PORTS: `${first}-${first + exportsAtOnce - 1}`,
    SENDENSE_RESTORE_SLOTS: String(mountsAtOnce),
  })
  const must = ({ status, body }: { status: number; body: any }) => {
    if (status !== 200) throw new Error(JSON.stringify(body))
    return body
  }
  const start = async (vm: { vmName: string; repositoryId: string }) =>
    must(await hub.api('POST', '/backups', { vm_name: vm.vmName, repository_id: vm.repositoryId, backup_type: 'full' }))

  const image = join(hub.folder, 'image.raw')
  const big = randomBytes(bigBytes)
  const bigDigest = createHash('sha256').update(big).digest('hex')
  filesystemImage(image, 'ext4', diskBytes, (root) => {
    writeFileSync(join(root, 'big'), big)
    mkdirSync(join(root, 'many'))
    for (let at = 0; at < 500; at++) writeFileSync(join(root, 'many', `file ${at}`), `content ${at}`)
  })
  const files = await registerVm(hub, 'files', 'vc.example')
  const backup = await start(files)
  for (const disk of backup.disk_results) copyInto(image, disk.nbd_port, disk.nbd_export_name)
  must(
    await hub.api('POST', `/backups/${backup.backup_id}/complete`, {
      disks: backup.disk_results.map(({ disk_index }: { disk_index: number }) => ({ disk_index, change_id: 'c' })),
    }),
  )
  const mounts: string[] = []
  for (let disk_index = 0; disk_index < mountsAtOnce; disk_index++)
    mounts.push(must(await hub.api('POST', '/restore/mount', { backup_id: backup.backup_id, disk_index })).mount_id)
  const jobs: string[] = []
  for (const { name } of vms.slice(1)) jobs.push((await start(await registerVm(hub, name, 'vc.example'))).backup_id)

  const run = async (seconds: number, { clients, telemetryPerSecond }: Load = usualLoad): Promise<LoadResult> => {
    const result: LoadResult = {
      requests: 0,
      downloadedBytes: 0,
      telemetry: 0,
      refusals: {},
      failures: [],
      p50: 0,
      p99: 0,
      memory: { hub: { early: 0, late: 0 }, 'host-agent': { early: 0, late: 0 } },
    }
    const latencies: number[] = []
    const until = performance.now() + seconds * 1000
    const fail = (what: string) => {
      if (result.failures.length < 20) result.failures.push(what)
    }
    const judge = async (response: Response, what: string): Promise<boolean> => {
      if (response.ok) return true
      const { code } = (await response.json().catch(() => ({}))) as { code?: string }
      if (code === undefined || code === 'INTERNAL') fail(`${what}: ${response.status} ${code}`)
      const key = `${response.status} ${code}`
      result.refusals[key] = (result.refusals[key] ?? 0) + 1
      return false
    }
    const ask = async (path: string) => {
      const began = performance.now()
      const response = await hub.fetch(path)
      if (await judge(response, path)) await response.json()
      latencies.push(performance.now() - began)
      result.requests++
    }
    const download = async (path: string, digest?: string) => {
      const response = await hub.fetch(path)
      if (!(await judge(response, path))) return
      const hash = createHash('sha256')
      for await (const chunk of response.body!) {
        hash.update(chunk)
        result.downloadedBytes += chunk.length
      }
      if (digest !== undefined && hash.digest('hex') !== digest) fail(`${path}: wrong bytes`)
      result.requests++
    }
    const pause = () => sleep(thinkMs * (0.5 + Math.random()))
    const client = async (number: number) => {
      for (let round = number; performance.now() < until; round++) {
        const mount = mounts[round % mounts.length]
        try {
          await pause()
          await ask(`/restore/${mount}/files?path=/`)
          await pause()
          await ask(`/restore/${mount}/files?path=/many&limit=100&offset=${(round * 100) % 500}`)
          await pause()
          await ask(`/backups/${jobs[round % jobs.length]}`)
          await pause()
          if (round % 8 === 0) await download(`/restore/${mount}/download-directory?path=/many&format=tar.gz`)
          else if (round % 4 === 0) await download(`/restore/${mount}/download?path=/big`, bigDigest)
        } catch (error) {
          fail(`client ${number}: ${(error as Error).message}`)
        }
      }
    }
    const report = async (number: number) => {
      const job = node.started.find(({ job_id }) => job_id === jobs[number % jobs.length])!
      const response = await fetch(`${hub.url}/api/v1/telemetry/backup/${job.job_id}`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${job.callback_token}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ status: 'running', bytes_transferred: number * 1000, total_bytes: diskBytes }),
      })
      if (await judge(response, 'telemetry')) await response.json()
      result.telemetry++
    }
    const reports: Promise<void>[] = []
    let reported = 0
    const began = performance.now()
    const reporter = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1000) * telemetryPerSecond)
      // What is late is made up for, so that the rate is what it says.
      for (; reported < due; reported++)
        reports.push(report(reported).catch((error: Error) => fail(`telemetry: ${error.message}`)))
    }, 20)
    const look = (when: 'early' | 'late') => {
      for (const name of ['hub', 'host-agent'] as const) result.memory[name][when] = residentBytes(hub.pidOf(name))
    }
    const early = setTimeout(() => look('early'), seconds * 200)
    await Promise.all([sleep(seconds * 1000), ...Array.from({ length: clients }, (_, number) => client(number))])
    clearInterval(reporter)
    clearTimeout(early)
    await Promise.all(reports)
    look('late')
    latencies.sort((a, b) => a - b)
    return { ...result, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
  }

  return {
    hub,
    run,
    close: async () => {
      for (const mount of mounts) await hub.api('DELETE', `/restore/${mount}`)
      for (const job of jobs) await hub.api('POST', `/backups/${job}/cancel`)
      await hub.stop()
      await node.close()
    },
  }
}
