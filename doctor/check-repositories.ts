/** The rows and the files: each restore point has its files, each file its row. */
import { basename } from 'node:path'
import { isActive } from '../contract/api/backups.ts'
import type { DiskRow, JobRow, JobWithDisks } from '../db/queries/backups.ts'
import type { CopyRow } from '../db/queries/copies.ts'
import { identityOf } from '../host-agent/exports/manifest.ts'
import { readHeader } from '../host-agent/exports/qcow2.ts'
import type { Finding } from './finding.ts'
import { type DiskFiles, readRepository } from './repository-files.ts'

type Repository = { id: string; path: string }
type CopyStatus = CopyRow['status']
type Row = { job: JobRow; disk: DiskRow }

const keyOf = (contextId: string, diskIndex: number, base: string) => `${contextId}/${diskIndex}/${base}`
const needed = ['.qcow2', '.blocks', '.manifest.json']

/** What a repository must hold, and may. */
type Expected = {
  /** All of this repository. */
  backups: readonly JobWithDisks[]
  /** Backups of other repositories with a copy here, complete ones and those that are being made. */
  copies: readonly { backup: JobWithDisks; status: CopyStatus }[]
  /** Whether files are being brought back from copies. */
  isHealing: boolean
}

export const checkRepository = async (
  { id, path }: Repository,
  { backups, copies, isHealing }: Expected,
): Promise<Finding[]> => {
  let files: Awaited<ReturnType<typeof readRepository>>
  try {
    files = await readRepository(path)
  } catch (error) {
    return [{ invariant: 'I1', subject: `repository ${id}`, problem: `can not be read: ${(error as Error).message}` }]
  }
  const rows = new Map<string, Row>(
    backups.flatMap(({ job, disks }) =>
      disks.map((disk) => [keyOf(job.vmBackupContextId, disk.diskIndex, disk.fileBase), { job, disk }]),
    ),
  )
  const copied = new Map(
    copies.flatMap(({ backup: { job, disks }, status }) =>
      disks.map((disk) => [keyOf(job.vmBackupContextId, disk.diskIndex, disk.fileBase), { job, disk, status }]),
    ),
  )
  const onDisk = new Map(files.disks.map((disk) => [keyOf(disk.contextId, disk.diskIndex, disk.base), disk]))
  const byId = new Map(backups.map((backup) => [backup.job.id, backup]))
  const isBusy =
    isHealing ||
    backups.some(({ job }) => isActive(job.status) || job.cleanupPending) ||
    copies.some(({ status }) => status !== 'completed')
  const sources = new Map(copies.map(({ backup }) => [backup.job.id, backup]))

  // Their files change their names in the moment when a merge ends.
  const isMerging = new Set(backups.flatMap(({ job }) => (job.mergingInto === null ? [] : [job.id, job.mergingInto])))
  for (const { backup } of copies)
    if (backup.job.mergingInto !== null) for (const id of [backup.job.id, backup.job.mergingInto]) isMerging.add(id)

  const findings: Finding[] = []
  for (const [key, row] of rows) {
    if (row.job.status !== 'completed' || isMerging.has(row.job.id)) continue
    const parent = row.job.parentBackupId === null ? undefined : byId.get(row.job.parentBackupId)
    findings.push(...(await checkFiles(row, onDisk.get(key), parent)))
  }
  for (const [key, copy] of copied) {
    if (copy.status !== 'completed' || isMerging.has(copy.job.id)) continue
    const parent = copy.job.parentBackupId === null ? undefined : sources.get(copy.job.parentBackupId)
    findings.push(...(await checkFiles(copy, onDisk.get(key), parent)))
  }
  for (const [key, disk] of onDisk) {
    const job = (rows.get(key) ?? copied.get(key))?.job
    if (disk.suffixes.has('.merge.json') && job && !isMerging.has(job.id))
      findings.push({ invariant: 'I5', subject: disk.path, problem: 'has a merge that nobody goes on with' })
    if (copied.has(key)) continue
    const row = rows.get(key)
    if (!row) findings.push({ invariant: 'I5', subject: disk.path, problem: 'belongs to no backup' })
    else if (!isActive(row.job.status) && row.job.status !== 'completed' && !row.job.cleanupPending)
      findings.push({
        invariant: 'I5',
        subject: disk.path,
        problem: `is left of ${row.job.id}, which is ${row.job.status}`,
      })
  }
  // What is being sealed has its temporary files.
  for (const stranger of files.strangers)
    if (!(isBusy && stranger.endsWith('.tmp')))
      findings.push({ invariant: 'I11', subject: stranger, problem: 'has no business in the repository' })
  for (const unreadable of files.unreadable)
    findings.push({ invariant: 'I7', subject: unreadable, problem: 'is not what was written' })
  return findings
}

const checkFiles = async (
  { job, disk }: Row,
  files: DiskFiles | undefined,
  parent: JobWithDisks | undefined,
): Promise<Finding[]> => {
  const say = (problem: string): Finding => ({
    invariant: 'I1',
    subject: `${job.id} disk ${disk.diskIndex}`,
    problem,
  })
  const missing = needed.filter((suffix) => !files?.suffixes.has(suffix))
  if (!files || missing.length > 0) return missing.map((suffix) => say(`${disk.fileBase}${suffix} is missing`))
  const { manifest, manifestProblem } = files
  if (!manifest) return [say(`its manifest ${manifestProblem}`)]
  const expectedParent = parent?.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)?.fileBase ?? null
  const parentFile = expectedParent === null ? null : `${expectedParent}.qcow2`
  const header = await readHeader(`${files.path}.qcow2`).catch((error: Error) => error)
  return [
    ...(disk.manifestDigest !== null && disk.manifestDigest !== identityOf(manifest)
      ? [say('its manifest is another one than was sealed')]
      : []),
    ...(manifest.backup_id !== job.id ? [say(`its manifest is of ${manifest.backup_id}`)] : []),
    ...(manifest.change_id !== disk.diskChangeId ? [say('its change id is another one than was sealed')] : []),
    ...(header instanceof Error
      ? [say(`its file can not be read: ${header.message}`)]
      : header.backingFile !== parentFile
        ? [say(`its file builds on ${header.backingFile && basename(header.backingFile)}, not on ${parentFile}`)]
        : []),
  ]
}
