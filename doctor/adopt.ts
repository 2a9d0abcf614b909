/**
 * Brings back into the database what repositories hold and the database does not know: a lost hub costs nothing but its settings.
 * The manifests say it all. What is known already stays as it is, so the same call again adds nothing.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { AgentApi } from '../contract/agent.ts'
import { diskKey, toGb } from '../contract/names.ts'
import type { Database, Executor } from '../db/database.ts'
import { findBackupContextById, insertBackupContext } from '../db/queries/backup-contexts.ts'
import { backupIdTaken, findBackup, insertBackup, type JobWithDisks } from '../db/queries/backups.ts'
import { refreshChains } from '../db/queries/chains.ts'
import { findCopy, queueCopy, updateCopy } from '../db/queries/copies.ts'
import { insertRepository, listRepositories, repositoryPath } from '../db/queries/repositories.ts'
import { findVmByContextId } from '../db/queries/vms.ts'
import { identityOf, type Manifest } from '../host-agent/exports/manifest.ts'
import { readSelfChecked } from '../host-agent/exports/self-checked.ts'
import { journalOf } from '../host-agent/merges/merge-file.ts'
import { identityFile } from '../host-agent/repositories.ts'
import { type DiskFiles, readRepository } from './repository-files.ts'

export type Adopted = {
  repositories: string[]
  backups: string[]
  /** Of backups that lie in another repository. */
  copies: string[]
  /** What could not be taken over, and why. */
  refused: { subject: string; problem: string }[]
}
type Sealed = DiskFiles & { manifest: Manifest & { digest: string } }

/** @param paths roots of repositories */
export const adopt = async (db: Database, agent: AgentApi, paths: readonly string[]): Promise<Adopted> => {
  const adopted: Adopted = { repositories: [], backups: [], copies: [], refused: [] }
  for (const path of paths) {
    try {
      const repositoryId = await adoptRepository(db, agent, path, adopted)
      await finishMerges(agent, repositoryId, path)
      await adoptBackups(db, repositoryId, path, adopted)
    } catch (error) {
      adopted.refused.push({ subject: path, problem: (error as Error).message })
    }
  }
  return adopted
}

/** @returns the id under which the hub knows the repository, now at the latest */
const adoptRepository = async (db: Database, agent: AgentApi, path: string, adopted: Adopted): Promise<string> => {
  const rows = await listRepositories(db.orm)
  const known = rows.find((row) => repositoryPath(row) === path)
  if (known) return known.id
  const { id } = JSON.parse(await readFile(join(path, identityFile), 'utf8')) as { id: string }
  if (rows.some((row) => row.id === id)) throw new Error(`the hub knows ${id} at another path`)
  const storage = await agent.ensureRepository(id, path)
  await insertRepository(db.orm, {
    id,
    name: `${basename(path)} (adopted ${id})`.slice(0, 255),
    repositoryType: 'local',
    config: { path },
    totalSizeBytes: storage.total_bytes,
    usedSizeBytes: storage.used_bytes,
    availableSizeBytes: storage.available_bytes,
  })
  adopted.repositories.push(id)
  return id
}

/** What a hub that is gone had begun to merge: what goes is no restore point any more, what it goes into has to be one. */
const finishMerges = async (agent: AgentApi, repositoryId: string, path: string): Promise<void> => {
  const { disks } = await readRepository(path)
  const inFolder = ({ contextId, diskIndex }: DiskFiles) =>
    disks.filter((other) => other.contextId === contextId && other.diskIndex === diskIndex)
  for (const into of disks.filter(({ suffixes }) => suffixes.has('.merge.json'))) {
    const { parent } = readSelfChecked<{ parent: string }>(await readFile(journalOf(into.path), 'utf8'))
    const parentOf = (base: string) => {
      const file = inFolder(into).find((other) => other.base === base)?.manifest?.parent_file
      return file?.replace(/\.qcow2$/, '')
    }
    const below: string[] = []
    for (let base = parentOf(parent); base !== undefined && !below.includes(base); base = parentOf(base))
      below.push(base)
    const merge = {
      disk: { repository_id: repositoryId, vm_backup_context_id: into.contextId, disk_index: into.diskIndex },
      base: parent,
      into_base: into.base,
      below_bases: below,
      stored_bytes: 0,
      wait_seconds: 60,
    }
    while ((await agent.mergeFile({ ...merge, step: 'prepare' })).status !== 'done');
    await agent.mergeFile({ ...merge, step: 'finish' })
  }
}

const adoptBackups = async (db: Database, repositoryId: string, path: string, adopted: Adopted) => {
  const { disks } = await readRepository(path)
  const byBackup = new Map<string, Sealed[]>()
  for (const files of disks) {
    const { manifest, manifestProblem } = files
    if (manifest === undefined) {
      adopted.refused.push({
        subject: files.path,
        problem: manifestProblem === undefined ? 'was never completed' : `its manifest ${manifestProblem}`,
      })
      continue
    }
    byBackup.set(manifest.backup_id, [...(byBackup.get(manifest.backup_id) ?? []), { ...files, manifest }])
  }
  // Parents first; a backup whose parent could not be taken over can not be restored.
  const oldestFirst = [...byBackup].sort(([, a], [, b]) =>
    a[0]!.manifest.created_at.localeCompare(b[0]!.manifest.created_at),
  )
  const contexts = new Set<string>()
  for (const [id, sealed] of oldestFirst) {
    const known = await findBackup(db.orm, id)
    if (known) {
      if (await adoptCopy(db, repositoryId, path, known, sealed)) adopted.copies.push(id)
      continue
    }
    const problem = await whyNot(db, sealed)
    if (problem !== undefined) {
      adopted.refused.push({ subject: id, problem })
      continue
    }
    await db.transaction((tx) => insertAdopted(tx, repositoryId, path, sealed))
    contexts.add(sealed[0]!.contextId)
    adopted.backups.push(id)
  }
  for (const contextId of contexts) await db.transaction((tx) => refreshChains(tx, contextId))
}

/** Where a backup is known to lie elsewhere, the same files here are a copy of it. @returns whether it is a new one */
const adoptCopy = async (
  db: Database,
  repositoryId: string,
  path: string,
  { job, disks }: JobWithDisks,
  sealed: Sealed[],
): Promise<boolean> => {
  const isSame = disks.every(({ diskIndex, manifestDigest }) =>
    sealed.some((disk) => disk.diskIndex === diskIndex && identityOf(disk.manifest) === manifestDigest),
  )
  if (job.repositoryId === repositoryId || !isSame || (await findCopy(db.orm, job.id, repositoryId))) return false
  const at = new Date()
  const id = randomUUID()
  await queueCopy(db.orm, {
    id,
    sourceBackupId: job.id,
    repositoryId,
    copyRuleId: null,
    verifyAfterCopy: false,
    createdAt: at,
  })
  const sizeBytes = sealed.reduce((sum, { manifest }) => sum + manifest.file_size_bytes, 0)
  await updateCopy(db.orm, id, {
    status: 'completed',
    filePath: join(path, job.vmBackupContextId),
    sizeBytes,
    copyCompletedAt: at,
  })
  return true
}

const whyNot = async (db: Database, sealed: Sealed[]): Promise<string | undefined> => {
  const { disk_count, parent_backup_id } = sealed[0]!.manifest
  if (sealed.length !== disk_count) return `only ${sealed.length} of its ${disk_count} disks are there`
  for (const { suffixes, base } of sealed)
    for (const suffix of ['.qcow2', '.blocks']) if (!suffixes.has(suffix)) return `${base}${suffix} is missing`
  if (parent_backup_id !== null && !(await backupIdTaken(db.orm, parent_backup_id)))
    return `${parent_backup_id}, which it builds on, could not be adopted`
  return undefined
}

const insertAdopted = async (tx: Executor, repositoryId: string, path: string, sealed: Sealed[]) => {
  const { manifest, contextId } = sealed[0]!
  if (!(await findBackupContextById(tx, contextId)))
    await insertBackupContext(tx, {
      contextId,
      repositoryId,
      vmName: manifest.vm_name,
      vmwareVmId: manifest.source.vm_id,
      vmPath: manifest.source.vm_path,
      vcenterHost: manifest.source.vcenter_host,
    })
  const isManaged = manifest.vm_context_id !== null && (await findVmByContextId(tx, manifest.vm_context_id))
  const transferred = sealed.reduce((sum, disk) => sum + (disk.manifest.bytes_transferred ?? 0), 0)
  const sealedAt = new Date(Math.max(...sealed.map((disk) => Date.parse(disk.manifest.sealed_at))))
  await insertBackup(
    tx,
    {
      id: manifest.backup_id,
      vmBackupContextId: contextId,
      vmContextId: isManaged ? manifest.vm_context_id : null,
      repositoryId,
      parentBackupId: manifest.parent_backup_id,
      vmName: manifest.vm_name,
      backupType: manifest.backup_type,
      status: 'completed',
      currentPhase: 'completed',
      progressPercent: 100,
      repositoryPath: path,
      bytesTransferred: transferred,
      totalBytes: transferred,
      createdAt: new Date(manifest.created_at),
      startedAt: new Date(manifest.created_at),
      completedAt: sealedAt,
    },
    sealed
      .toSorted((a, b) => a.diskIndex - b.diskIndex)
      .map((disk) => ({
        backupJobId: manifest.backup_id,
        vmBackupContextId: contextId,
        diskIndex: disk.diskIndex,
        vmwareDiskKey: diskKey(disk.diskIndex),
        sizeGb: toGb(disk.manifest.virtual_size_bytes),
        capacityBytes: disk.manifest.virtual_size_bytes,
        label: disk.manifest.disk_label,
        qcow2Path: `${disk.path}.qcow2`,
        fileBase: disk.base,
        diskChangeId: disk.manifest.change_id,
        manifestDigest: identityOf(disk.manifest),
        storedBytes: disk.manifest.stored_bytes,
        bytesTransferred: disk.manifest.bytes_transferred ?? 0,
        progressPercent: 100,
        status: 'completed' as const,
        completedAt: new Date(disk.manifest.sealed_at),
      })),
  )
}
