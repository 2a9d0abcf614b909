/** Brings the files of a damaged backup, and of what it builds on, back from a copy. */
import { HubError } from '../contract/errors.ts'
import { type DiskRow, findBackup, type JobWithDisks } from '../db/queries/backups.ts'
import { deleteHeal, findHeal, type HealRow, openHeals, queueHeal, updateHeal } from '../db/queries/copies.ts'
import { noteDiskChecked } from '../db/queries/verifications.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, diskFileOf, placesOfCopies } from './chain-files.ts'
import { copyUntil } from './copy-file.ts'
import { restorePoint } from './restore-point.ts'
import { askForVerification } from './verify-backups.ts'

type HealEnv = Env<'DB' | 'AGENT' | 'CLOCK'>
type Damaged = { backup: JobWithDisks; disk: DiskRow }

/** Files of a chain that a check has found damaged, or that are not there as they should be; oldest first. */
const damagedFiles = async ({ AGENT }: HealEnv, chain: readonly JobWithDisks[]): Promise<Damaged[]> => {
  const found: Damaged[] = []
  for (const [at, backup] of [...chain.entries()].toReversed())
    for (const disk of backup.disks) {
      const [file] = await AGENT.inspectChain(diskChainOf(chain.slice(at), disk.diskIndex))
      if (disk.damages !== null || file!.problem !== null) found.push({ backup, disk })
    }
  return found
}

/**
 * Queues it when there is something to heal.
 * @param repositoryId of the copy to heal from; undefined: any
 * @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED, CHAIN_IN_USE, COPY_NOT_FOUND
 */
export const askForHeal = async (
  env: HealEnv,
  backupId: string,
  repositoryId: string | undefined,
): Promise<{ backup: JobWithDisks; heal: HealRow | undefined }> => {
  const { DB, CLOCK } = env
  const backup = await restorePoint(DB.orm, backupId)
  const running = await findHeal(DB.orm, backupId)
  if (running) return { backup, heal: running }
  const chain = await chainOf(DB.orm, backup)
  if (chain.some(({ job }) => job.mergingInto !== null))
    throw new HubError('CHAIN_IN_USE', 'Restore points of this chain are being merged', { details: 'try again later' })
  const from = (await placesOfCopies(env, chain)).find((id) => repositoryId === undefined || id === repositoryId)
  if (from === undefined) throw new HubError('COPY_NOT_FOUND', 'There is no complete copy to heal this backup from')
  if ((await damagedFiles(env, chain)).length === 0) return { backup, heal: undefined }
  await queueHeal(DB.orm, { backupJobId: backupId, repositoryId: from, createdAt: CLOCK.now() })
  return { backup, heal: await findHeal(DB.orm, backupId) }
}

/** @returns false: time is up, and the next round goes on */
const healFiles = async (env: HealEnv, heal: HealRow, damaged: readonly Damaged[], until: number): Promise<boolean> => {
  const { DB, AGENT } = env
  const totalBytes = heal.doneBytes + damaged.reduce((total, { disk }) => total + disk.storedBytes, 0)
  let before = heal.doneBytes
  for (const { backup, disk } of damaged) {
    const what = {
      file: { ...diskFileOf(backup.job, disk), repository_id: heal.repositoryId },
      to_repository_id: backup.job.repositoryId,
      manifest_digest: disk.manifestDigest,
      replace: true,
    }
    const doneOf = (bytes: number) => Math.min(totalBytes, before + bytes)
    const done = await copyUntil(AGENT, what, until, (state) =>
      updateHeal(DB.orm, heal.backupJobId, { doneBytes: doneOf(state.done_bytes), totalBytes, errorMessage: null }),
    )
    if (!done) return false
    before = doneOf(done.done_bytes)
    await forgetDamages(env, disk)
  }
  return true
}

/** What is known of a file that has been written anew counts no more. */
const forgetDamages = ({ DB }: HealEnv, disk: DiskRow) =>
  noteDiskChecked(DB.orm, disk.id, { verifyPosition: 0, damages: null })

/** Goes on with what is to be healed, for about so long. What is healed is checked, which says that it is whole. */
export const runHeals = async (env: HealEnv, forMs: number): Promise<void> => {
  const { DB } = env
  const until = performance.now() + forMs
  for (const heal of await openHeals(DB.orm)) {
    if (performance.now() > until) return
    try {
      const backup = await findBackup(DB.orm, heal.backupJobId)
      const chain = backup?.job.status === 'completed' ? await chainOf(DB.orm, backup) : []
      if (!(await healFiles(env, heal, await damagedFiles(env, chain), until))) continue
      await deleteHeal(DB.orm, heal.backupJobId)
      if (chain.length > 0) await askForVerification(env, heal.backupJobId, 0)
    } catch (error) {
      const message = error instanceof HubError ? `${error.code}: ${error.message}` : (error as Error).message
      await updateHeal(DB.orm, heal.backupJobId, { errorMessage: message.slice(0, 2000) })
    }
  }
}
