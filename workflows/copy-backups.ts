/**
 * Copies restore points into other repositories. A copy is the same files at the same place: a chain there stands alone, so the copy of an
 * incremental is preceded by copies of all that it builds on. Rows say what is to be made; rounds of a few seconds bring it on.
 */
import { randomUUID } from 'node:crypto'
import type { DiskFile } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { type DiskRow, findBackup, type JobWithDisks, stateOfBackup } from '../db/queries/backups.ts'
import {
  type CopyRow,
  copiesOf,
  findCopy,
  findCopyById,
  missingCopies,
  openCopies,
  queueCopy,
  updateCopy,
} from '../db/queries/copies.ts'
import { isMerging } from '../db/queries/merges.ts'
import { rulesOf } from '../db/queries/policies.ts'
import { findRepository, repositoryPath } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, diskFileOf, isWhole } from './chain-files.ts'
import { copyUntil } from './copy-file.ts'
import { withChainLock } from './locks.ts'
import { restorePoint } from './restore-point.ts'

type CopyEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** How long one question to the agent waits. */
const waitSeconds = 1

type Order = { repositoryId: string; ruleId: string | null; verifyAfterCopy: boolean }

/** Queues the copy of a backup, and of what it builds on where that is not there. @param chain newest first */
const queueChain = async (tx: Executor, chain: readonly JobWithDisks[], order: Order, now: Date): Promise<void> => {
  // What is being merged away is copied no more: what takes its place is copied as a whole.
  for (const { job } of chain.toReversed())
    if (job.mergingInto === null)
      await queueCopy(tx, {
        id: randomUUID(),
        sourceBackupId: job.id,
        repositoryId: order.repositoryId,
        copyRuleId: order.ruleId,
        verifyAfterCopy: order.verifyAfterCopy,
        createdAt: now,
      })
}

/** What an `immediate` rule asks for, in the transaction that completes the backup: no hub can die in between. */
export const queueImmediateCopies = async (tx: Executor, backup: JobWithDisks, now: Date): Promise<void> => {
  const { policyId, repositoryId } = backup.job
  if (policyId === null) return
  for (const rule of await rulesOf(tx, [policyId])) {
    if (!rule.enabled || rule.copyMode !== 'immediate' || rule.destinationRepositoryId === repositoryId) continue
    const order = {
      repositoryId: rule.destinationRepositoryId,
      ruleId: rule.id,
      verifyAfterCopy: rule.verifyAfterCopy,
    }
    await queueChain(tx, await chainOf(tx, backup), order, now)
  }
}

/** What `scheduled` rules ask for, and what `immediate` ones have not got: a copy that failed is tried again. */
export const queueMissingCopies = async ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>): Promise<void> => {
  for (const { backupId, ruleId, repositoryId, verifyAfterCopy } of await missingCopies(DB.orm, [
    'immediate',
    'scheduled',
  ])) {
    const backup = await findBackup(DB.orm, backupId)
    if (!backup) continue
    const chain = await chainOf(DB.orm, backup)
    if (isWhole(chain))
      await DB.transaction((tx) => queueChain(tx, chain, { repositoryId, ruleId, verifyAfterCopy }, CLOCK.now()))
  }
}

const bytesOf = (backups: readonly JobWithDisks[]) =>
  backups.reduce((total, { disks }) => total + disks.reduce((sum, disk) => sum + disk.storedBytes, 0), 0)

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED, UNKNOWN_REPOSITORY, REPOSITORY_DISABLED, VALIDATION_FAILED, CHAIN_BROKEN, COPY_EXISTS, INSUFFICIENT_STORAGE */
export const askForCopy = async ({ DB, AGENT, CLOCK }: CopyEnv, backupId: string, order: Order): Promise<CopyRow> => {
  const backup = await restorePoint(DB.orm, backupId)
  const repository = await findRepository(DB.orm, order.repositoryId)
  if (!repository) throw new HubError('UNKNOWN_REPOSITORY', 'There is no such repository')
  if (!repository.enabled)
    throw new HubError('REPOSITORY_DISABLED', 'The repository is disabled', { details: repository.name })
  if (repository.id === backup.job.repositoryId)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: 'repository_id', message: 'is where the backup itself lies', code: 'FORBIDDEN' }],
    })
  const known = await findCopy(DB.orm, backupId, repository.id)
  if (known && known.status !== 'failed')
    throw new HubError('COPY_EXISTS', 'There is a copy in this repository', {
      details: `it is ${known.status}`,
      extra: { copy_id: known.id },
    })
  const chain = await chainOf(DB.orm, backup)
  if (!isWhole(chain))
    throw new HubError('CHAIN_BROKEN', 'This backup, or one that it builds on, is missing or damaged')
  const there = new Set(
    (
      await copiesOf(
        DB.orm,
        chain.map(({ job }) => job.id),
      )
    ).flatMap((copy) =>
      copy.repositoryId === repository.id && copy.status === 'completed' ? [copy.sourceBackupId] : [],
    ),
  )
  const required = bytesOf(chain.filter(({ job }) => !there.has(job.id)))
  const { available_bytes } = await AGENT.repositoryStorage(repository.id)
  if (available_bytes < required)
    throw new HubError('INSUFFICIENT_STORAGE', 'The repository has too little room for this copy', {
      details: `${required} bytes needed, ${available_bytes} free`,
      extra: { required_bytes: required, available_bytes },
    })
  await DB.transaction((tx) => queueChain(tx, chain, order, CLOCK.now()))
  return (await findCopy(DB.orm, backupId, repository.id))!
}

const copyFileOf = (copy: CopyRow, backup: JobWithDisks, disk: DiskRow): DiskFile => ({
  ...diskFileOf(backup.job, disk),
  repository_id: copy.repositoryId,
})

/** Removes the files of a copy. Can be repeated. @returns freed bytes */
export const removeCopyFiles = async (
  { AGENT }: Env<'AGENT'>,
  copy: CopyRow,
  backup: JobWithDisks,
): Promise<number> => {
  let freed = 0
  for (const disk of backup.disks) freed += (await AGENT.deleteDiskFile(copyFileOf(copy, backup, disk))).freed_bytes
  return freed
}

/** Ends a copy that will come to nothing; the next order of it begins anew. */
const failCopy = async (env: CopyEnv, copy: CopyRow, backup: JobWithDisks, message: string): Promise<void> => {
  await removeCopyFiles(env, copy, backup).catch(() => undefined)
  await updateCopy(env.DB.orm, copy.id, { status: 'failed', errorMessage: message.slice(0, 2000) })
}

/** Under the chain's lock: no deletion has looked for copies before this one was under way. @returns whether it is to be made at all */
const begin = ({ DB, CLOCK }: CopyEnv, copy: CopyRow, seen: JobWithDisks): Promise<boolean> =>
  withChainLock(DB, seen.job.vmBackupContextId, async () => {
    const now = await stateOfBackup(DB.orm, copy.sourceBackupId)
    // A backup that is being deleted or merged away takes its copies with it.
    if (now?.status !== 'completed' || (await isMerging(DB.orm, copy.sourceBackupId))) return false
    const repository = await findRepository(DB.orm, copy.repositoryId)
    await updateCopy(DB.orm, copy.id, {
      status: 'copying',
      filePath: `${repositoryPath(repository!)}/${seen.job.vmBackupContextId}`,
      copyStartedAt: CLOCK.now(),
      doneBytes: 0,
    })
    return true
  })

/** How far the copy is that this one builds on; `none` for a full. */
const parentState = async ({ DB }: CopyEnv, copy: CopyRow, backup: JobWithDisks) => {
  const { parentBackupId } = backup.job
  if (parentBackupId === null) return 'none'
  const status = (await findCopy(DB.orm, parentBackupId, copy.repositoryId))?.status ?? 'failed'
  // One that is being merged away is not copied any more: once it is gone, this one builds on another.
  return status !== 'completed' && (await isMerging(DB.orm, parentBackupId)) ? 'pending' : status
}

/** @returns false: time is up, and the next round goes on */
const copyDisks = async (
  { DB, AGENT }: CopyEnv,
  copy: CopyRow,
  backup: JobWithDisks,
  until: number,
): Promise<boolean> => {
  let before = 0
  for (const disk of backup.disks) {
    const what = {
      file: diskFileOf(backup.job, disk),
      to_repository_id: copy.repositoryId,
      manifest_digest: disk.manifestDigest,
      replace: false,
    }
    const done = await copyUntil(AGENT, what, until, (state) =>
      updateCopy(DB.orm, copy.id, {
        doneBytes: before + state.done_bytes,
        totalBytes: Math.max(bytesOf([backup]), before + state.total_bytes),
        errorMessage: null,
      }),
    )
    if (!done) return false
    before += done.total_bytes
  }
  await updateCopy(DB.orm, copy.id, { doneBytes: before, totalBytes: before, sizeBytes: before })
  return true
}

/** @returns what is wrong with the copy; undefined: time is up */
const verifyDisks = async (
  { DB, AGENT }: CopyEnv,
  copy: CopyRow,
  backup: JobWithDisks,
  until: number,
): Promise<string[] | undefined> => {
  const chain = await chainOf(DB.orm, backup)
  const found: string[] = []
  for (const disk of backup.disks)
    for (;;) {
      const state = await AGENT.verifyFile({
        chain: { ...diskChainOf(chain, disk.diskIndex), repository_id: copy.repositoryId },
        manifest_digest: disk.manifestDigest,
        from_bytes: 0,
        bytes_per_second: 0,
        wait_seconds: waitSeconds,
      })
      if (state.status === 'done') {
        found.push(...state.damages.map(({ file, detail }) => `${file} ${detail}`))
        break
      }
      if (performance.now() > until) return undefined
    }
  return found
}

const bringOn = async (env: CopyEnv, copy: CopyRow, until: number): Promise<void> => {
  const { DB, CLOCK } = env
  const backup = await findBackup(DB.orm, copy.sourceBackupId)
  if (!backup) return
  const parent = await parentState(env, copy, backup)
  if (parent === 'failed') return failCopy(env, copy, backup, 'the copy that it builds on has failed')
  if (parent !== 'none' && parent !== 'completed') return
  if (copy.status === 'pending' && !(await begin(env, copy, backup))) return
  if (copy.status !== 'verifying') {
    if (!(await copyDisks(env, copy, backup, until))) return
    if (copy.verifyAfterCopy) await updateCopy(DB.orm, copy.id, { status: 'verifying' })
  }
  if (copy.verifyAfterCopy) {
    const damages = await verifyDisks(env, copy, backup, until)
    if (damages === undefined) return
    if (damages.length > 0) {
      await updateCopy(DB.orm, copy.id, { verificationStatus: 'failed', verifiedAt: CLOCK.now() })
      return failCopy(env, copy, backup, `the copy is damaged: ${damages.join('; ')}`)
    }
    await updateCopy(DB.orm, copy.id, { verificationStatus: 'passed', verifiedAt: CLOCK.now() })
  }
  await updateCopy(DB.orm, copy.id, { status: 'completed', copyCompletedAt: CLOCK.now(), errorMessage: null })
}

/** What no further try will change. */
const isFinal = (error: unknown): error is HubError =>
  error instanceof HubError && ['CHAIN_BROKEN', 'INSUFFICIENT_STORAGE', 'UNKNOWN_REPOSITORY'].includes(error.code)

/** Goes on with the copies that are to be made, for about so long; whoever comes next goes on from there. */
export const runCopies = async (env: CopyEnv, forMs: number): Promise<void> => {
  const until = performance.now() + forMs
  for (const { id } of await openCopies(env.DB.orm)) {
    if (performance.now() > until) return
    // As it is now: the ones before it took their time.
    const copy = await findCopyById(env.DB.orm, id)
    if (!copy) continue
    try {
      await bringOn(env, copy, until)
    } catch (error) {
      const message = error instanceof HubError ? `${error.code}: ${error.message}` : (error as Error).message
      const backup = await findBackup(env.DB.orm, copy.sourceBackupId)
      if (isFinal(error) && backup) await failCopy(env, copy, backup, [message, error.details].join(' '))
      // A storage that does not answer may answer again: the others need not wait for it.
      else await updateCopy(env.DB.orm, copy.id, { status: 'pending', errorMessage: message.slice(0, 2000) })
    }
  }
}
