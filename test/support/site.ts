/**
 * A whole site in fast-forward: VMs in groups, flows under schedules, days that pass in seconds, a part of the backups failing, a hub that is killed once
 * a day. What must be there at the end is calculated by itself here, from the history alone.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Database } from '../../db/database.ts'
import { insertUser } from '../../db/queries/users.ts'
import { program } from '../../host-agent/exec.ts'
import { chainNode } from '../../host-agent/exports/qcow2.ts'
import { newKeyFile, openKeys } from '../../runtime/bindings/keys.ts'
import { hashPassword } from '../../runtime/passwords.ts'
import { waitFor } from '../../runtime/service.ts'
import { projectRoot } from '../../runtime/version.ts'
import { seeded } from './damage.ts'
import { freshDatabase } from './database.ts'
import { startDatabaseServer } from './database-server.ts'
import { sh } from './images.ts'
import { freePorts, openRealAgent } from './real-agent.ts'
import type { Answer, SiteHubSettings, Told } from './site-hub.ts'

export type SiteSize = {
  vms: number
  groups: number
  schedules: number
  days: number
  diskBytes: number
  chainLimit: number
  refusedPercent: number
  /** How many of the remaining points are read back and compared; all of them when there are fewer. */
  compared: number
}
export type SiteReport = {
  runs: number
  backups: number
  failedTries: number
  kills: number
  merges: number
  points: number
  longestChain: number
  seconds: number
  /** What does not hold; empty when all does. */
  problems: string[]
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** A Thursday. */
const firstDay = Date.UTC(2026, 0, 1)
const stepMs = 10 * minuteMs
const keep = { last: 3, daily: 5, weekly: 3, monthly: 2 }
const blockBytes = 64 * 1024

/** When a schedule is due: each day, or on one day of the week. */
type Timing = { id: string; hour: number; minute: number; weekday: number | null }
const cronOf = ({ hour, minute, weekday }: Omit<Timing, 'id'>) => `${minute} ${hour} * * ${weekday ?? '*'}`
const timesOf = ({ hour, minute, weekday }: Timing, days: number): number[] =>
  Array.from({ length: days }, (_, day) => firstDay + day * dayMs)
    .filter((start) => weekday === null || new Date(start).getUTCDay() === weekday)
    .map((start) => start + (hour * 60 + minute) * minuteMs)

/** What a VM's disk holds on a day: blocks that each day changes anew. */
const contentOn = (vm: number, day: number, bytes: number): Buffer => {
  const content = Buffer.alloc(bytes)
  for (let number = 0; number <= day; number++)
    for (const { at, data } of changesOf(vm, number, bytes)) data.copy(content, at)
  return content
}
const changesOf = (vm: number, day: number, bytes: number) => {
  const random = seeded(vm * 10_007 + day)
  return Array.from({ length: day === 0 ? 20 : 3 }, (_, piece) => ({
    at: random(bytes / blockBytes) * blockBytes,
    data: createHash('sha512').update(`${vm} ${day} ${piece}`).digest().toString('hex').repeat(64),
  })).map(({ at, data }) => ({ at, data: Buffer.from(data) }))
}

type Completed = { id: string; context: string; at: number; vm: string }
/** The newest of each period, for as many periods as the rule says, and the newest of all. */
const expectedOf = (points: readonly Completed[]): Set<string> => {
  const newestFirst = points.toSorted((a, b) => b.at - a.at || b.id.localeCompare(a.id))
  const kept = new Set(newestFirst.slice(0, Math.max(1, keep.last)).map(({ id }) => id))
  const periods: [number, (at: number) => string | number][] = [
    [keep.daily, (at) => Math.floor(at / dayMs)],
    // Weeks begin on a Monday, and 1970-01-01 was a Thursday.
    [keep.weekly, (at) => Math.floor((at / dayMs + 3) / 7)],
    [keep.monthly, (at) => new Date(at).toISOString().slice(0, 7)],
  ]
  for (const [count, periodOf] of periods) {
    const seen = new Map<string | number, string>()
    for (const { id, at } of newestFirst) {
      const period = periodOf(at)
      if (!seen.has(period) && seen.size < count) seen.set(period, id)
    }
    for (const id of seen.values()) kept.add(id)
  }
  return kept
}

const count = async (db: Database, statement: string, values: unknown[] = []): Promise<number> => {
  const [rows] = (await db.pool.query(statement, values)) as unknown as [{ n: number }[]]
  return Number(rows[0]!.n)
}
const select = async <Row>(db: Database, statement: string): Promise<Row[]> =>
  ((await db.pool.query(statement)) as unknown as [Row[]])[0]

export const runSite = async (size: SiteSize, onDay: (day: number) => void = () => undefined): Promise<SiteReport> => {
  const began = performance.now()
  const server = await startDatabaseServer()
  const db = await freshDatabase(server.socketPath)
  const real = await openRealAgent()
  const random = seeded(20261126)
  const sources = join(real.folder, 'vms')
  const vmNames = Array.from({ length: size.vms }, (_, number) => `vm-${number}`)
  for (const [number, name] of vmNames.entries()) {
    mkdirSync(join(sources, name), { recursive: true })
    writeFileSync(join(sources, name, 'disk0.raw'), contentOn(number, 0, size.diskBytes))
  }
  const change = (day: number) => {
    for (const [number, name] of vmNames.entries()) {
      const fd = openSync(join(sources, name, 'disk0.raw'), 'r+')
      for (const { at, data } of changesOf(number, day, size.diskBytes)) writeSync(fd, data, 0, data.length, at)
      closeSync(fd)
    }
  }

  const [nodePort, hubPort] = [await freePorts(1), await freePorts(1)]
  const nodeSettings = join(real.folder, 'node.json')
  writeFileSync(
    join(real.folder, 'sources.json'),
    JSON.stringify({ sources: { lab: { kind: 'image', folder: sources } } }),
  )
  writeFileSync(
    nodeSettings,
    JSON.stringify({
      host: '127.0.0.1',
      port: nodePort,
      stateDir: join(real.folder, 'node'),
      sourcesFile: join(real.folder, 'sources.json'),
      version: 'site',
    }),
  )
  const node = spawn(
    '/usr/bin/setpriv',
    [
      ...['--pdeathsig', 'KILL', '--', process.execPath],
      ...[fileURLToPath(new URL('dist/source-node/main.js', projectRoot)), '--settings', nodeSettings],
    ],
    { stdio: 'ignore' },
  )
  const nodeUrl = `http://127.0.0.1:${nodePort}`
  await waitFor('the node', async () => (await fetch(`${nodeUrl}/api/v1/health`)).ok, 20_000)

  let now = firstDay
  const keys = newKeyFile()
  const user = { id: randomUUID(), username: 'admin', role: 'admin' as const, tokenVersion: 0 }
  await insertUser(db.orm, { ...user, passwordHash: await hashPassword('site password'), displayName: 'admin' })
  const databaseName = (await select<{ name: string }>(db, 'SELECT database() AS name'))[0]!.name
  let hub!: ChildProcess
  /** @returns what the hub answers, or undefined when it dies instead */
  const answer = () =>
    new Promise<Answer | undefined>((resolve) => {
      const onExit = () => resolve(undefined)
      hub.once('exit', onExit)
      hub.once('message', (said) => {
        hub.off('exit', onExit)
        resolve(said as Answer)
      })
    })
  const startHub = async () => {
    const settings: SiteHubSettings = {
      databaseSocket: server.socketPath,
      database: databaseName,
      agentSocket: join(real.folder, 'agent.sock'),
      nodeUrl,
      keys,
      port: hubPort,
      nbdPorts: { first: real.firstPort, last: real.firstPort + 39 },
      chainLimit: size.chainLimit,
      now,
      refusedPercent: size.refusedPercent,
    }
    hub = fork(fileURLToPath(new URL('dist/test/support/site-hub.js', projectRoot)), [JSON.stringify(settings)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [],
    })
    await answer()
  }
  const tick = () => {
    const answered = answer()
    hub.send({ now } satisfies Told)
    return answered
  }
  const api = async (method: string, path: string, body?: unknown): Promise<any> => {
    const { token } = await openKeys(keys).userToken(user, new Date(now))
    const response = await fetch(`http://127.0.0.1:${hubPort}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const said: any = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(said)}`)
    return said
  }

  const problems: string[] = []
  const report = { runs: 0, backups: 0, failedTries: 0, kills: 0, merges: 0, points: 0, longestChain: 0 }
  const completed = new Map<string, Completed>()
  try {
    await startHub()
    const repository = (
      await api('POST', '/repositories', { name: 'main', type: 'local', config: { path: real.repositoryPath } })
    ).id
    const policy = (
      await api('POST', '/policies', { name: 'counts', primary_repository_id: repository, retention_days: 0, keep })
    ).id
    const credential = (
      await api('POST', '/vmware-credentials', {
        credential_name: 'lab',
        vcenter_host: 'image:lab',
        username: '',
        password: '',
        datacenter: 'images',
      })
    ).credential.id
    await api('POST', '/discovery/add-vms', { credential_id: credential, vm_names: vmNames })
    const contexts: any[] = (await api('GET', '/vm-contexts')).vm_contexts
    const groups: string[] = []
    for (let number = 0; number < size.groups; number++)
      groups.push((await api('POST', '/machine-groups', { name: `group ${number}`, max_concurrent_vms: 4 })).id)
    for (const [at, { context_id }] of contexts.entries())
      await api('POST', `/machine-groups/${groups[at % groups.length]}/vms`, { vm_context_id: context_id })
    const timings: Timing[] = []
    for (let number = 0; number < size.schedules; number++) {
      const timing = {
        hour: 1 + ((number * 3) % 20),
        minute: (number * 10) % 60,
        weekday: number % 2 === 0 ? null : number % 7,
      }
      const { id } = await api('POST', '/schedules', {
        name: `schedule ${number}`,
        cron_expression: cronOf(timing),
        timezone: 'UTC',
        max_concurrent_jobs: 6,
        retry_attempts: 3,
        retry_delay_minutes: 20,
      })
      timings.push({ id, ...timing })
      await api('POST', '/protection-flows', {
        name: `flow ${number}`,
        flow_type: 'backup',
        target_type: 'group',
        target_id: groups[number % groups.length],
        repository_id: repository,
        policy_id: policy,
        schedule_id: id,
      })
    }

    /** Whether anything is to be done at this time. */
    const isBusy = async () =>
      (await count(
        db,
        'SELECT count(*) AS n FROM backup_jobs WHERE active_slot IS NOT NULL OR merging_into IS NOT NULL',
      )) +
        (await count(
          db,
          "SELECT count(*) AS n FROM protection_flow_jobs WHERE state IN ('starting', 'running') OR (state = 'waiting' AND (not_before IS NULL OR not_before <= ?))",
          [new Date(now)],
        )) +
        (await count(db, 'SELECT count(*) AS n FROM vm_backup_contexts WHERE retention_due')) >
      0
    /** What keeps it busy, a few of each. */
    const openWork = async () =>
      JSON.stringify({
        jobs: await select(
          db,
          'SELECT id, vm_name, status, active_slot, merging_into, parent_backup_id, started_at FROM backup_jobs WHERE active_slot IS NOT NULL OR merging_into IS NOT NULL LIMIT 5',
        ),
        flows: await select(
          db,
          "SELECT state, not_before, count(*) AS jobs FROM protection_flow_jobs WHERE state IN ('starting', 'running', 'waiting') GROUP BY state, not_before LIMIT 5",
        ),
        due: await select(db, 'SELECT * FROM vm_backup_contexts WHERE retention_due LIMIT 5'),
      })
    const note = async () => {
      const rows = await select<{ id: string; context: string; at: Date; vm: string }>(
        db,
        "SELECT id, vm_backup_context_id AS context, completed_at AS at, vm_name AS vm FROM backup_jobs WHERE status = 'completed'",
      )
      for (const { at, ...row } of rows) completed.set(row.id, { ...row, at: at.getTime() })
    }
    for (let day = 0; day < size.days; day++) {
      onDay(day)
      if (day > 0) change(day)
      let isKilled = false
      for (let due = firstDay + day * dayMs; due < firstDay + (day + 1) * dayMs; due += stepMs) {
        // What a kill took of it is made up here: a run that is five minutes late would be a missed one.
        now = Math.max(now, due)
        for (let round = 0; ; round++) {
          const ticked = tick()
          // Once a day, in the middle of something.
          if (!isKilled && (await isBusy()) && random(3) === 0) {
            await sleep(random(150))
            const ended = new Promise((resolve) => hub.once('exit', resolve))
            hub.kill('SIGKILL')
            await ended
            await startHub()
            // What it had just taken is given up after 15 seconds, and here no time passes by itself.
            now += 20_000
            isKilled = true
            report.kills++
            continue
          }
          if ((await ticked) === undefined) throw new Error('the hub has ended by itself')
          await note()
          if (!(await isBusy())) break
          if (round > 2_000)
            throw new Error(`nothing comes to its end at ${new Date(now).toISOString()}: ${await openWork()}`)
          await sleep(30)
        }
      }
    }

    for (const timing of timings) {
      const rows = await select<{ at: Date; status: string }>(
        db,
        `SELECT scheduled_at AS at, status FROM schedule_executions WHERE schedule_id = '${timing.id}' ORDER BY scheduled_at`,
      )
      const [ran, expected] = [rows.map(({ at }) => at.getTime()), timesOf(timing, size.days)]
      if (ran.join() !== expected.join())
        problems.push(`the schedule at ${cronOf(timing)} ran ${ran.length} times, not ${expected.length}`)
      for (const { at, status } of rows)
        if (status !== 'completed') problems.push(`the run of ${at.toISOString()} is ${status}`)
      report.runs += ran.length
    }
    report.backups = completed.size
    report.merges = await count(db, "SELECT count(*) AS n FROM audit_log WHERE action = 'merge'")
    report.failedTries = await count(db, 'SELECT coalesce(sum(failures), 0) AS n FROM protection_flow_jobs')

    const byContext = new Map<string, Completed[]>()
    for (const point of completed.values())
      byContext.set(point.context, [...(byContext.get(point.context) ?? []), point])
    const rows = await select<{ id: string; context: string; parent: string | null; type: string }>(
      db,
      "SELECT id, vm_backup_context_id AS context, parent_backup_id AS parent, backup_type AS type FROM backup_jobs WHERE status = 'completed'",
    )
    const byId = new Map(rows.map((row) => [row.id, row]))
    report.points = rows.length
    for (const [context, points] of byContext) {
      const left = new Set(rows.filter((row) => row.context === context).map(({ id }) => id))
      const expected = expectedOf(points)
      for (const id of expected) if (!left.has(id)) problems.push(`${id} is gone, which the counts name`)
      for (const id of left) if (!expected.has(id)) problems.push(`${id} is there, which nothing names`)
    }
    const chainOf = (id: string): string[] => {
      const parent = byId.get(id)?.parent
      return parent ? [id, ...chainOf(parent)] : [id]
    }
    const bases = new Map(
      (
        await select<{ id: string; base: string; stored: number }>(
          db,
          'SELECT backup_job_id AS id, file_base AS base, stored_bytes AS stored FROM backup_disks',
        )
      ).map((row) => [row.id, row]),
    )
    const pathOf = (id: string) =>
      join(real.repositoryPath, byId.get(id)!.context, 'disk-0', `${bases.get(id)!.base}.qcow2`)
    const raw = join(real.folder, 'read-back.raw')
    const some = rows
      .toSorted((a, b) => a.id.localeCompare(b.id))
      .filter((_, at) => at % Math.ceil(rows.length / size.compared) === 0)
    for (const { id } of rows) report.longestChain = Math.max(report.longestChain, chainOf(id).length)
    for (const { id } of some) {
      const { vm, at } = completed.get(id)!
      sh(program.qemuImg, [
        ...['convert', '-O', 'raw', '--', `json:${JSON.stringify(chainNode(chainOf(id).map(pathOf), true))}`, raw],
      ])
      const day = Math.floor((at - firstDay) / dayMs)
      if (!readFileSync(raw).equals(contentOn(vmNames.indexOf(vm), day, size.diskBytes)))
        problems.push(`${id} does not hold what ${vm} held on day ${day}`)
    }
    if (report.longestChain > size.chainLimit) problems.push(`a chain has ${report.longestChain} points`)
    const [said, used] = rows.reduce(
      ([all, onDisk], { id }) => [all + Number(bases.get(id)!.stored), onDisk + statSync(pathOf(id)).blocks * 512],
      [0, 0] as [number, number],
    )
    if (Math.abs(said - used) > used / 100) problems.push(`${used} bytes are stored, the API says ${said}`)
  } finally {
    const ended = [hub, node].map((child) => new Promise((resolve) => child.once('exit', resolve)))
    hub.kill('SIGTERM')
    node.kill('SIGTERM')
    await Promise.all(ended)
    await real.close()
    await db.close()
    await server.stop()
  }
  return { ...report, problems, seconds: Math.round((performance.now() - began) / 1000) }
}
