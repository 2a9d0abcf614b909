/** The chain of a VM: a full and everything built on it (contract section 8.2). */

import type { z } from 'zod'
import type { chainQuery } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import { chainId, toGb } from '../contract/names.ts'
import { toBackups } from '../db/queries/backup-answers.ts'
import { type JobRow, type JobWithDisks, newestBackup, vmHasBackups } from '../db/queries/backups.ts'
import { completedBackups } from '../db/queries/chains.ts'
import { findRepository } from '../db/queries/repositories.ts'
import { disksOf, findVmByContextId, findVmsByName, type VmRow } from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { diskChainOf, isWhole } from './chain-files.ts'
import { findVmByName } from './find-vm.ts'

type ChainEnv = Env<'DB' | 'AGENT'>
type Query = z.infer<typeof chainQuery>

/** What is asked for: a managed VM, or one that only its backups remember. @throws VM_NOT_FOUND, VM_AMBIGUOUS */
const findSubject = async (
  { DB }: ChainEnv,
  { vm_name, vm_context_id }: Query,
): Promise<{ vm: VmRow | undefined; vmName: string }> => {
  if (vm_context_id !== undefined) {
    const vm = await findVmByContextId(DB.orm, vm_context_id)
    const newest = vm ? undefined : await newestBackup(DB.orm, { vmContextId: vm_context_id })
    if (!vm && !newest) throw new HubError('VM_NOT_FOUND', 'VM not found')
    return { vm, vmName: vm?.vmName ?? newest!.vmName }
  }
  if (vm_name === undefined)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: 'vm_name', message: 'is required when vm_context_id is not given', code: 'REQUIRED' }],
    })
  if ((await findVmsByName(DB.orm, vm_name)).length === 0 && (await vmHasBackups(DB.orm, vm_name)))
    return { vm: undefined, vmName: vm_name }
  return { vm: await findVmByName(DB.orm, vm_name), vmName: vm_name }
}

const membersOf = (completed: JobWithDisks[], fullBackupId: string | undefined): JobWithDisks[] => {
  const full =
    fullBackupId === undefined
      ? completed.findLast(({ job }) => job.backupType === 'full')
      : completed.find(({ job }) => job.id === fullBackupId)
  if (!full) return []
  const ids = new Set([full.job.id])
  for (const { job } of completed) if (job.parentBackupId !== null && ids.has(job.parentBackupId)) ids.add(job.id)
  return completed.filter(({ job }) => ids.has(job.id))
}

/** Which of the chain's backups can be restored: it and every ancestor completed, all their files there. */
const restorable = async ({ AGENT }: ChainEnv, members: JobWithDisks[]): Promise<Set<string>> => {
  const good = new Set<string>()
  for (const [at, member] of members.entries()) {
    const chain = members.slice(0, at + 1).toReversed()
    if (member.job.parentBackupId !== null && !good.has(member.job.parentBackupId)) continue
    if (!isWhole(chain)) continue
    const checks = await Promise.all(
      member.disks.map(
        async ({ diskIndex }) =>
          (await AGENT.inspectChain(diskChainOf(chain, diskIndex)).catch(() => [{ problem: 'not reachable' }]))[0]
            ?.problem,
      ),
    )
    if (checks.every((problem) => problem === null)) good.add(member.job.id)
  }
  return good
}

/** @throws VM_NOT_FOUND, VM_AMBIGUOUS, REPOSITORY_NOT_FOUND, DISK_NOT_FOUND */
export const showChain = async (env: ChainEnv, query: Query) => {
  const { DB } = env
  const { vm, vmName } = await findSubject(env, query)
  if (query.repository_id !== undefined && !(await findRepository(DB.orm, query.repository_id)))
    throw new HubError('REPOSITORY_NOT_FOUND', 'There is no such repository')
  const newest: JobRow | undefined = await newestBackup(DB.orm, {
    ...(vm ? { vmContextId: vm.contextId } : { vmName }),
    repositoryId: query.repository_id,
    status: 'completed',
  })
  const completed = newest ? await completedBackups(DB.orm, newest.vmBackupContextId) : []
  const members = membersOf(completed, query.full_backup_id)
  const known = new Set([
    ...(vm ? await disksOf(DB.orm, vm.contextId) : []).map(({ diskIndex }) => diskIndex),
    ...members.flatMap(({ disks }) => disks.map(({ diskIndex }) => diskIndex)),
  ])
  if (!known.has(query.disk_id) && (known.size > 0 || query.disk_id !== 0))
    throw new HubError('DISK_NOT_FOUND', `The VM has no disk ${query.disk_id}`)

  const good = await restorable(env, members)
  const backups = await toBackups(DB.orm, members)
  const totalBytes = backups.reduce((sum, { size_bytes }) => sum + size_bytes, 0)
  const contextOfChain = vm?.contextId ?? newest?.vmContextId ?? null
  return {
    success: true as const,
    chain_id: chainId(contextOfChain ?? newest?.vmBackupContextId ?? vmName, query.disk_id),
    vm_name: vmName,
    vm_context_id: contextOfChain,
    repository_id: query.repository_id ?? newest?.repositoryId ?? null,
    disk_id: query.disk_id,
    full_backup_id: backups[0]?.backup_id ?? null,
    chain: backups.map((backup, at) => ({
      backup_id: backup.backup_id,
      backup_type: backup.backup_type,
      type: backup.type,
      sequence_number: at + 1,
      created_at: backup.created_at,
      completed_at: backup.completed_at,
      size_gb: toGb(backup.size_bytes),
      size_bytes: backup.size_bytes,
      parent_backup_id: backup.parent_backup_id,
      backing_file: backup.parent_backup_id,
      is_restorable: good.has(backup.backup_id),
      verify_state: backup.verify_state,
      verified_at: backup.verified_at,
    })),
    backups,
    total_backups: backups.length,
    backup_count: backups.length,
    chain_length: backups.length,
    chain_size_gb: toGb(totalBytes),
    total_size_bytes: totalBytes,
  }
}
