/**
 * Reads restore points again and compares them with their checksums, oldest file of a chain first, so that damage is found where it
 * is. What is damaged, and all that builds on it, is neither restored nor built on any more.
 */
import type { Damage } from '../contract/agent.ts'
import type { Database } from '../db/database.ts'
import { type DiskRow, findBackup, type JobWithDisks } from '../db/queries/backups.ts'
import { dependentsOf } from '../db/queries/chains.ts'
import {
  beginVerification,
  endVerification,
  findVerification,
  longestUnverified,
  nextVerification,
  noteDiskChecked,
  noteVerification,
  queueVerification,
  setVerifyState,
  type VerificationRow,
} from '../db/queries/verifications.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, diskFileOf } from './chain-files.ts'
import { withChainLock } from './locks.ts'
import { notify } from './notify.ts'
import { restorePoint } from './restore-point.ts'

type VerifyEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** How long one question to the agent waits before progress is written. */
const waitSeconds = 1
/** A scrub leaves the disk to others: at this pace 5 TiB are read in a day. */
const scrubBytesPerSecond = 64 * 1024 * 1024
const scrubEveryMs = 30 * 24 * 3600 * 1000

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED */
export const askForVerification = async (
  { DB, CLOCK }: Env<'DB' | 'CLOCK'>,
  backupId: string,
  bytesPerSecond: number,
): Promise<{ backup: JobWithDisks; run: VerificationRow | undefined }> => {
  const backup = await restorePoint(DB.orm, backupId)
  const now = CLOCK.now()
  await queueVerification(DB.orm, { backupJobId: backupId, bytesPerSecond, freshSince: now, createdAt: now })
  return { backup, run: await findVerification(DB.orm, backupId) }
}

/** Queues the restore point that nobody has checked for the longest time, when nothing else is to be checked. */
export const scrub = async ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>): Promise<void> => {
  if (await nextVerification(DB.orm)) return
  const now = CLOCK.now()
  const freshSince = new Date(now.getTime() - scrubEveryMs)
  const backupJobId = await longestUnverified(DB.orm, freshSince)
  if (backupJobId !== undefined)
    await queueVerification(DB.orm, { backupJobId, bytesPerSecond: scrubBytesPerSecond, freshSince, createdAt: now })
}

/** Goes on with the checks that wait, for about so long; whoever comes next goes on from there. */
export const runVerifications = async (env: VerifyEnv, forMs: number): Promise<void> => {
  const until = performance.now() + forMs
  while (performance.now() < until) {
    const run = await nextVerification(env.DB.orm)
    if (!run) return
    await goOn(env, run, until)
  }
}

const goOn = async (env: VerifyEnv, run: VerificationRow, until: number): Promise<void> => {
  const { DB, CLOCK } = env
  const backup = await findBackup(DB.orm, run.backupJobId)
  if (backup?.job.status !== 'completed') return void (await endVerification(DB.orm, run.backupJobId))
  if (run.startedAt === null) {
    const open = (await chainOf(DB.orm, backup)).flatMap(({ disks }) => disks.filter((disk) => !isFresh(disk, run)))
    await DB.transaction((tx) =>
      beginVerification(
        tx,
        run.backupJobId,
        open.map(({ id }) => id),
        CLOCK.now(),
      ),
    )
  }
  const chain = await chainOf(DB.orm, (await findBackup(DB.orm, run.backupJobId)) ?? backup)
  const progress = progressOf(env, run, chain)

  for (const [at, member] of [...chain.entries()].toReversed()) {
    const below = chain.slice(at)
    // What is being merged away is no restore point; what takes its place is read as a whole.
    if (member.job.mergingInto !== null) continue
    for (const disk of member.disks) {
      if (isFresh(disk, run)) continue
      const isDone = await checkDisk(env, run, below, disk, until, progress)
      if (!isDone) return
    }
    if (!(await judge(env, member.job.id))) break
  }
  await endVerification(DB.orm, run.backupJobId)
}

const isFresh = ({ verifiedAt }: DiskRow, { freshSince }: VerificationRow) =>
  verifiedAt !== null && verifiedAt >= freshSince

type Progress = (diskId: number, doneBytes: number) => Promise<void>
const progressOf = ({ DB }: VerifyEnv, run: VerificationRow, chain: JobWithDisks[]): Progress => {
  const all = chain.flatMap(({ disks }) => disks)
  const done = new Map(all.map((disk) => [disk.id, isFresh(disk, run) ? disk.capacityBytes : disk.verifyPosition]))
  const sum = () => [...done.values()].reduce((total, bytes) => total + bytes, 0)
  const totalBytes = all.reduce((total, { capacityBytes }) => total + capacityBytes, 0)
  const began = { at: performance.now(), bytes: sum() }
  return async (diskId, doneBytes) => {
    done.set(diskId, doneBytes)
    const seconds = Math.max(0.001, (performance.now() - began.at) / 1000)
    await noteVerification(DB.orm, run.backupJobId, {
      doneBytes: Math.min(totalBytes, sum()),
      totalBytes,
      speedBps: Math.round((sum() - began.bytes) / seconds),
    })
  }
}

/** @param chain the file's backup and those below it, newest first @returns whether the file has been read to its end */
const checkDisk = async (
  { DB, AGENT, CLOCK }: VerifyEnv,
  run: VerificationRow,
  chain: JobWithDisks[],
  disk: DiskRow,
  until: number,
  progress: Progress,
): Promise<boolean> => {
  const known = disk.damages ?? []
  for (;;) {
    const state = await AGENT.verifyFile({
      chain: diskChainOf(chain, disk.diskIndex),
      manifest_digest: disk.manifestDigest,
      from_bytes: disk.verifyPosition,
      bytes_per_second: run.bytesPerSecond,
      wait_seconds: waitSeconds,
    })
    const damages = together(known, state.damages)
    const found = damages.length > 0 ? damages : null
    // Read by names that a merge has changed meanwhile: that says nothing of the files.
    if (found && !(await isStillChain(DB, chain))) return false
    if (state.status === 'done') {
      await noteDiskChecked(DB.orm, disk.id, { verifyPosition: 0, damages: found, verifiedAt: CLOCK.now() })
      await progress(disk.id, disk.capacityBytes)
      return true
    }
    await noteDiskChecked(DB.orm, disk.id, { verifyPosition: state.done_bytes, damages: found })
    await progress(disk.id, state.done_bytes)
    if (!(await findVerification(DB.orm, run.backupJobId))) {
      await AGENT.stopVerify(diskFileOf(chain[0]!.job, disk))
      return false
    }
    if (performance.now() > until) return false
  }
}

/** Under the chain's lock: no merge is changing it. */
const isStillChain = (db: Database, chain: readonly JobWithDisks[]): Promise<boolean> =>
  withChainLock(db, chain[0]!.job.vmBackupContextId, async () => {
    const newest = await findBackup(db.orm, chain[0]!.job.id)
    const now = newest ? await chainOf(db.orm, newest) : []
    return now.length === chain.length && now.every(({ job }, at) => job.id === chain[at]!.job.id)
  })

/** An agent that was restarted tells again only what lies behind the position that it was given. */
const together = (known: readonly Damage[], told: readonly Damage[]): Damage[] => {
  const texts = new Set([...known, ...told].map((damage) => JSON.stringify(damage)))
  return [...texts].map((text) => JSON.parse(text) as Damage)
}

/** Writes down what has been found in a backup's files. @returns whether they are whole */
const judge = async ({ DB, CLOCK }: VerifyEnv, backupId: string): Promise<boolean> => {
  const backup = await findBackup(DB.orm, backupId)
  if (!backup) return false
  const isWhole = backup.disks.every(({ damages }) => damages === null)
  // Under the chain's lock: no start has looked at the chain before and builds on it after.
  await withChainLock(DB, backup.job.vmBackupContextId, async () => {
    const ids = isWhole ? [] : (await dependentsOf(DB.orm, backup.job)).map(({ id }) => id)
    await DB.transaction(async (tx) => {
      await setVerifyState(tx, [backupId, ...ids], isWhole ? 'verified' : 'damaged', CLOCK.now())
      if (isWhole || backup.job.verifyState === 'damaged') return
      const { vmName, repositoryId } = backup.job
      const details = backup.disks
        .flatMap(({ damages }) => damages ?? [])
        .map(({ file, detail }) => `${file} ${detail}`)
        .join('; ')
      const subject = { vm_name: vmName, backup_id: backupId, repository_id: repositoryId, details }
      await notify(tx, 'verify_failed', `A restore point of ${vmName} is damaged`, subject, CLOCK.now())
    })
  })
  return isWhole
}
