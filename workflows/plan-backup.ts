/** What must be so before a backup is started, and whether there is room for it. */
import type { BackupType } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import { findBackup, newestBackup } from '../db/queries/backups.ts'
import { type CredentialRow, credentialForVm } from '../db/queries/credentials.ts'
import { findPolicy } from '../db/queries/policies.ts'
import { findRepository, type RepositoryRow } from '../db/queries/repositories.ts'
import { disksOf, type VmDiskRow, type VmRow } from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { findVmById, findVmByName } from './find-vm.ts'

export type StartRequest = {
  vmName: string | undefined
  vmContextId: string | undefined
  repositoryId: string
  type: BackupType
  policyId: string | null
  tags: Record<string, string>
  /** What a flow makes it for. */
  flowJobId?: string
}
/** What a start works with, once its checks have passed. */
export type Plan = {
  vm: VmRow
  disks: VmDiskRow[]
  repository: RepositoryRow
  credential: CredentialRow
  request: StartRequest
}

/** The checks that need no lock, in the contract's order. */
export const planBackup = async ({ DB }: Env<'DB'>, request: StartRequest): Promise<Plan> => {
  const vm =
    request.vmContextId === undefined
      ? await findVmByName(DB.orm, request.vmName!)
      : await findVmById(DB.orm, request.vmContextId)
  const disks = await disksOf(DB.orm, vm.contextId)
  if (disks.length === 0)
    throw new HubError('VM_HAS_NO_DISKS', 'No disks of this VM are known', { details: 'run the discovery again' })
  const repository = await findRepository(DB.orm, request.repositoryId)
  if (!repository)
    throw new HubError('UNKNOWN_REPOSITORY', 'There is no such repository', {
      details: request.repositoryId.slice(0, 100),
    })
  if (!repository.enabled)
    throw new HubError('REPOSITORY_DISABLED', 'The repository is disabled', { details: repository.name })
  if (request.policyId !== null && !(await findPolicy(DB.orm, request.policyId)))
    throw new HubError('UNKNOWN_POLICY', 'There is no such policy', { details: request.policyId.slice(0, 100) })
  const credential = await credentialForVm(DB.orm, vm)
  if (!credential)
    throw new HubError('CREDENTIAL_MISSING', 'The VM has no usable credential', {
      details: `store an active credential for ${vm.vcenterHost}`,
    })
  return { vm, disks, repository, credential, request }
}

/** Bytes that the backup will probably need: as much as the last one of its kind stored, else its size or a tenth of it. */
const requiredBytes = async ({ DB }: Env<'DB'>, { vm, disks, request }: Plan): Promise<number> => {
  const last = await newestBackup(DB.orm, {
    vmContextId: vm.contextId,
    repositoryId: request.repositoryId,
    type: request.type,
    status: 'completed',
  })
  const lastDisks = last && (await findBackup(DB.orm, last.id))?.disks
  if (lastDisks) return lastDisks.reduce((sum, disk) => sum + disk.storedBytes, 0)
  const size = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)
  return request.type === 'full' ? size : Math.ceil(size / 10)
}

/** @throws INSUFFICIENT_STORAGE */
export const checkRoom = async (env: Env<'DB' | 'AGENT'>, plan: Plan) => {
  const [required, { available_bytes }] = [
    await requiredBytes(env, plan),
    await env.AGENT.repositoryStorage(plan.repository.id),
  ]
  if (available_bytes < required)
    throw new HubError('INSUFFICIENT_STORAGE', 'The repository has too little room for this backup', {
      details: `${required} bytes needed, ${available_bytes} free`,
      extra: { required_bytes: required, available_bytes },
    })
}
