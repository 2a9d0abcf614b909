/**
 * Takes restore points that no rule keeps out of the middle or the beginning of a chain: their files take in what the next point says, and become
 * that point's. Rows say what is to be merged; rounds of a few seconds bring it on. The long part writes into a file that nobody restores any more,
 * and makes way for backups and mounts; the end, when names change, needs the chain for itself for a moment.
 */
import type { DiskChain, MergeBody, MergeState } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import type { Database } from '../db/database.ts'
import { insertAudit } from '../db/queries/audit.ts'
import {
  activeBackupIn,
  deleteBackupRow,
  findBackup,
  type JobRow,
  type JobWithDisks,
  updateBackup,
  updateBackupDisk,
} from '../db/queries/backups.ts'
import { refreshChains } from '../db/queries/chains.ts'
import { copiesOf, updateCopy } from '../db/queries/copies.ts'
import { isContextCopied, isContextMounted, nextMerges } from '../db/queries/merges.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, diskFileOf } from './chain-files.ts'
import { removeCopyFiles } from './copy-backups.ts'
import { ifChainIdle } from './locks.ts'

type MergeEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** How long one question to the agent waits. */
const waitSeconds = 1

/** A point that goes, the one that takes its place, and what both build on, newest first. */
type Pair = { going: JobWithDisks; into: JobWithDisks; below: JobWithDisks[] }
type Task = Omit<MergeBody, 'step' | 'wait_seconds'>

const pairOf = async ({ DB }: MergeEnv, { id, mergingInto }: JobRow): Promise<Pair | undefined> => {
  const [going, into] = await Promise.all([findBackup(DB.orm, id), findBackup(DB.orm, mergingInto ?? '')])
  if (!going || into?.job.parentBackupId !== id) return undefined
  return pairWith(DB, going, into)
}
const pairWith = async (db: Database, going: JobWithDisks, into: JobWithDisks): Promise<Pair> => ({
  going,
  into,
  below: (await chainOf(db.orm, going)).slice(1),
})

/** Repositories that hold both points: the backups' own, and those of complete copies. */
const placesOf = async ({ DB }: MergeEnv, { going, into }: Pair): Promise<string[]> => {
  const copies = (await copiesOf(DB.orm, [going.job.id, into.job.id])).filter(({ status }) => status === 'completed')
  const places = copies.flatMap(({ sourceBackupId, repositoryId }) =>
    sourceBackupId === into.job.id ? repositoryId : [],
  )
  return [going.job.repositoryId, ...places]
}

/** One merge for each disk and place. */
const tasksOf = ({ going, into, below }: Pair, places: readonly string[]): Task[] =>
  places.flatMap((repository_id) =>
    into.disks.flatMap((disk): Task[] => {
      const chain: DiskChain = diskChainOf([going, ...below], disk.diskIndex)
      const [base, ...below_bases] = chain.bases
      const { vm_backup_context_id, disk_index } = chain
      return [
        {
          disk: { repository_id, vm_backup_context_id, disk_index },
          base: base!,
          into_base: disk.fileBase,
          below_bases,
          stored_bytes: disk.storedBytes,
        },
      ]
    }),
  )

/**
 * Whether a point can be merged into the one that builds on it, as far as their files tell. Changes nothing.
 * @throws CHAIN_BROKEN; whatever keeps the agent from looking
 */
export const checkMerge = async (env: MergeEnv, going: JobWithDisks, into: JobWithDisks): Promise<void> => {
  const pair = await pairWith(env.DB, going, into)
  for (const task of tasksOf(pair, await placesOf(env, pair)))
    await env.AGENT.mergeFile({ ...task, step: 'check', wait_seconds: 0 })
}

/** @returns false: time is up, and the next round goes on */
const prepare = async ({ AGENT }: MergeEnv, tasks: readonly Task[], until: number): Promise<boolean> => {
  for (const task of tasks)
    for (;;) {
      const { status } = await AGENT.mergeFile({ ...task, step: 'prepare', wait_seconds: waitSeconds })
      if (status === 'done') break
      if (performance.now() > until) return false
    }
  return true
}

/** Files change their names, then the rows: cut off in between, the next round finds the files done. */
const finish = async (env: MergeEnv, pair: Pair, tasks: readonly Task[]): Promise<void> => {
  const { DB, AGENT, CLOCK } = env
  const { going, into } = pair
  const own = new Map<number, MergeState>()
  for (const task of tasks) {
    const state = await AGENT.mergeFile({ ...task, step: 'finish', wait_seconds: 0 })
    if (task.disk.repository_id === going.job.repositoryId) own.set(task.disk.disk_index, state)
  }
  const places = new Set(tasks.map(({ disk }) => disk.repository_id))
  const copies = await copiesOf(DB.orm, [going.job.id, into.job.id])
  for (const copy of copies)
    if (copy.sourceBackupId === going.job.id && !places.has(copy.repositoryId)) await removeCopyFiles(env, copy, going)
  // A disk that the VM has no more is not in the next point.
  for (const disk of going.disks)
    if (!into.disks.some(({ diskIndex }) => diskIndex === disk.diskIndex))
      for (const repository_id of places) await AGENT.deleteDiskFile({ ...diskFileOf(going.job, disk), repository_id })
  const sizeBytes = [...own.values()].reduce((sum, { stored_bytes }) => sum + stored_bytes, 0)
  await DB.transaction(async (tx) => {
    await updateBackup(tx, into.job.id, {
      backupType: going.job.backupType,
      parentBackupId: going.job.parentBackupId,
    })
    for (const disk of into.disks)
      await updateBackupDisk(tx, disk.id, { storedBytes: own.get(disk.diskIndex)?.stored_bytes ?? disk.storedBytes })
    for (const copy of copies)
      if (copy.sourceBackupId === into.job.id && places.has(copy.repositoryId))
        await updateCopy(tx, copy.id, { sizeBytes, doneBytes: sizeBytes, totalBytes: sizeBytes })
    await deleteBackupRow(tx, going.job.id)
    await refreshChains(tx, going.job.vmBackupContextId)
    await insertAudit(tx, {
      at: CLOCK.now(),
      actorKind: 'system',
      action: 'merge',
      method: 'DELETE',
      path: `/backups/${going.job.id}`,
      status: 200,
      details: { merged_into: into.job.id },
    })
  })
}

/**
 * The last step, if nobody uses the chain: no start, mount or deletion has looked at it before and works with it after.
 * @returns whether it is done
 */
const finishIfIdle = async (env: MergeEnv, job: JobRow): Promise<boolean> => {
  const isDone = await ifChainIdle(env.DB, job.vmBackupContextId, async () => {
    const { DB } = env
    const pair = await pairOf(env, job)
    if (!pair) return false
    const context = job.vmBackupContextId
    if (await activeBackupIn(DB.orm, context)) return false
    if ((await isContextMounted(DB.orm, context)) || (await isContextCopied(DB.orm, context))) return false
    // As things are now: a copy may have been completed meanwhile, and is merged in the next round then.
    const tasks = tasksOf(pair, await placesOf(env, pair))
    if (!(await prepare(env, tasks, 0))) return false
    await finish(env, pair, tasks)
    return true
  })
  return isDone ?? false
}

/** @returns whether it is done; else the next round goes on */
const bringOn = async (env: MergeEnv, job: JobRow, until: number): Promise<boolean> => {
  const pair = await pairOf(env, job)
  if (!pair) return false
  if (!(await prepare(env, tasksOf(pair, await placesOf(env, pair)), until))) return false
  return finishIfIdle(env, job)
}

/** The same for one that may fail. */
const tryOn = async (env: MergeEnv, job: JobRow, until: number): Promise<boolean> => {
  try {
    return await bringOn(env, job, until)
  } catch (error) {
    // In use: it is tried again, and nothing is wrong. Whatever else it is, an admin may read it.
    if (error instanceof HubError && error.code === 'CHAIN_IN_USE') return false
    const message = error instanceof HubError ? `${error.code}: ${error.message} ${error.details}` : String(error)
    await updateBackup(env.DB.orm, job.id, { errorMessage: `the merge waits: ${message}`.slice(0, 2000) })
    return false
  }
}

/** Goes on with the merges that wait, for about so long; whoever comes next goes on from there. */
export const runMerges = async (env: MergeEnv, forMs: number): Promise<void> => {
  const until = performance.now() + forMs
  // What waits for another one to be merged first has its turn once that is done.
  for (let isMoving = true; isMoving; ) {
    isMoving = false
    for (const job of await nextMerges(env.DB.orm)) {
      if (performance.now() > until) return
      if (await tryOn(env, job, until)) isMoving = true
    }
  }
}
