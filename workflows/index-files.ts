/** Makes restore points' files known by name: walks them once, where nobody sees a mount, and keeps what is new since the point before. */
import type { Readable } from 'node:stream'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findBackup, type JobWithDisks } from '../db/queries/backups.ts'
import { mergeDeltas } from '../db/queries/file-deltas-merge.ts'
import {
  ensureVolume,
  type FileIndexRow,
  findIndex,
  indexedPoints,
  nextIndex,
  queueIndex,
  updateIndex,
} from '../db/queries/file-index.ts'
import { FileIndexWriter } from '../db/queries/file-index-writer.ts'
import { findPolicy, type PolicyRow } from '../db/queries/policies.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { indexLines } from './agent-lines.ts'
import { readNextDigests } from './index-digests.ts'
import { fromPlaces, placesOf } from './restore-places.ts'
import { restorePoint } from './restore-point.ts'

/** Of one point. More than any machine has; a damaged or hostile filesystem may have folders within themselves, and no end. */
const mostEntries = 50_000_000

type IndexEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

const pointAt = ({ job }: JobWithDisks) => (job.completedAt ?? job.createdAt).getTime()
const queueOf = (db: Executor, backup: JobWithDisks, policy: PolicyRow | undefined, now: Date) =>
  queueIndex(db, {
    backupJobId: backup.job.id,
    vmBackupContextId: backup.job.vmBackupContextId,
    pointAt: pointAt(backup),
    digests: policy?.indexDigests ? 'pending' : 'none',
    createdAt: now,
  })
const policyOf = async (db: Executor, { job: { policyId } }: JobWithDisks) =>
  policyId === null ? undefined : findPolicy(db, policyId)

/** In the transaction that completes a backup: its policy says whether its files are to be found. */
export const queueIndexByPolicy = async (tx: Executor, backup: JobWithDisks, now: Date): Promise<void> => {
  const policy = await policyOf(tx, backup)
  if (policy?.indexFiles) await queueOf(tx, backup, policy, now)
}

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED */
export const askForIndex = async ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>, backupId: string): Promise<FileIndexRow> => {
  const backup = await restorePoint(DB.orm, backupId)
  await queueOf(DB.orm, backup, await policyOf(DB.orm, backup), CLOCK.now())
  return (await findIndex(DB.orm, backupId))!
}

/**
 * One after the other, of all hubs one at a time; what a hub that died had begun is begun anew.
 * @param forMs when none is begun any more, but for the first
 */
export const runIndexes = async (env: IndexEnv, forMs: number, entriesMax = mostEntries): Promise<void> => {
  const until = performance.now() + forMs
  await env.DB.withLock(
    'file index',
    0,
    async () => {
      do {
        await mergeDeltas(env.DB)
        const next = await nextIndex(env.DB.orm)
        if (next) await indexPoint(env, next, entriesMax)
        else if (!(await readNextDigests(env))) return
      } while (performance.now() < until)
    },
    () => undefined,
  )
}

const indexPoint = async (env: IndexEnv, row: FileIndexRow, entriesMax: number): Promise<void> => {
  const { DB, CLOCK } = env
  const { backupJobId } = row
  const end = (change: Parameters<typeof updateIndex>[2]) =>
    updateIndex(DB.orm, backupJobId, { endedAt: CLOCK.now(), ...change })
  await updateIndex(DB.orm, backupJobId, { status: 'running', startedAt: CLOCK.now(), errorMessage: null })
  const backup = await findBackup(DB.orm, backupJobId)
  if (backup?.job.status !== 'completed' || backup.job.mergingInto !== null)
    return void (await end({ status: 'failed', errorMessage: 'it is no restore point any more' }))
  try {
    await walk(env, row, backup, entriesMax)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    // A disk without any filesystem has no files: that is known then.
    const isEmpty = error.code === 'NO_MOUNTABLE_FILESYSTEM'
    await end({ status: 'failed', errorMessage: isEmpty ? `${error.message}: ${error.details}` : error.message })
  }
}

const walk = async (env: IndexEnv, row: FileIndexRow, backup: JobWithDisks, entriesMax: number): Promise<void> => {
  const { DB, AGENT, CLOCK } = env
  const { backupJobId, vmBackupContextId: contextId } = row
  const places = await placesOf(env, backup, backup.disks, undefined)
  const points = (await indexedPoints(DB.orm, [contextId])).map((point) => point.pointAt)
  const writer = await FileIndexWriter.open(DB, contextId, row.pointAt, points)
  let stream: Readable | undefined
  try {
    const { result } = await fromPlaces(places, ({ chains: disks }) =>
      AGENT.readIndex({ vm_name: backup.job.vmName, disks, walk: writer.walk }),
    )
    stream = result
    let volumeId: number | undefined
    let isWhole = false
    for await (const line of indexLines(stream)) {
      if ('folder' in line) await writer.add(volumeId!, line)
      else if ('volume' in line) volumeId = await ensureVolume(DB.orm, contextId, line.volume)
      else isWhole = true
      if (writer.count > entriesMax)
        throw new HubError('SERVICE_UNAVAILABLE', `The backup has more than ${entriesMax} files and folders`)
      // The agent's answer ends when all is unmounted, which after a million files takes seconds.
      if (isWhole) break
    }
    if (!isWhole) throw new HubError('SERVICE_UNAVAILABLE', 'The walk through the files was cut off')
    await writer.commit(async (query) => {
      const [{ affectedRows }] = (await query(
        "UPDATE file_indexes SET status = 'completed', entry_count = ?, ended_at = ? WHERE backup_job_id = ?",
        [writer.count, CLOCK.now(), backupJobId] as never,
      )) as unknown as [{ affectedRows: number }]
      // Deleted meanwhile: nothing of it is kept.
      if (affectedRows === 0) throw new HubError('BACKUP_NOT_FOUND', 'The backup was deleted')
    })
  } finally {
    stream?.destroy()
    await writer.close()
  }
}
