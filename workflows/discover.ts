/** Asks a source for its VMs through the node, and takes VMs under management. */
import type { BulkAddResult, DiscoveredVm } from '../contract/api/discovery.ts'
import { diskBytes, type InventoryVm, toVmAnswer } from '../contract/api/inventory.ts'
import { HubError } from '../contract/errors.ts'
import { contextId, diskKey, toGb } from '../contract/names.ts'
import type { DiscoverRequest } from '../contract/node.ts'
import { isDuplicate } from '../db/database.ts'
import { credentialForVm, findCredential, noteCredentialUse } from '../db/queries/credentials.ts'
import {
  activeOsseaConfigId,
  findManaged,
  findVmByContextId,
  insertVm,
  replaceDisks,
  updateVm,
  type VmRow,
} from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { openSecret } from './secrets.ts'

export type SourceBody = {
  credential_id?: number | undefined
  vcenter?: string | undefined
  username?: string | undefined
  password?: string | undefined
  datacenter?: string | undefined
}
export type Source = { credentialId: number | null; request: Omit<DiscoverRequest, 'filter'> }

/** @throws UNKNOWN_CREDENTIAL when it does not exist or is inactive */
export const openSource = async (
  { DB, KEYS, CLOCK }: Env<'DB' | 'KEYS' | 'CLOCK'>,
  body: SourceBody,
): Promise<Source> => {
  if (body.credential_id === undefined) {
    const request = {
      vcenter: body.vcenter!,
      username: body.username!,
      password: body.password!,
      datacenter: body.datacenter!,
    }
    const known = await credentialForVm(DB.orm, { credentialId: null, vcenterHost: request.vcenter })
    return { credentialId: known?.id ?? null, request }
  }
  const row = await findCredential(DB.orm, body.credential_id)
  if (!row?.isActive)
    throw new HubError('UNKNOWN_CREDENTIAL', row ? 'The credential is not active' : 'There is no such credential', {
      details: `credential_id ${body.credential_id}`,
    })
  await noteCredentialUse(DB.orm, row.id, CLOCK.now())
  return {
    credentialId: row.id,
    request: {
      vcenter: row.vcenterHost,
      username: row.username,
      password: openSecret(KEYS, 'credential password', row.passwordEncrypted),
      datacenter: row.datacenter,
    },
  }
}

export type Found = { vm: InventoryVm; managed: VmRow | undefined }

/** VMs of a source, by name. @throws NODE_UNREACHABLE, DISCOVERY_FAILED, NODE_ERROR */
export const discover = async (
  { DB, NODE }: Env<'DB' | 'NODE'>,
  { request }: Source,
  filter?: string,
): Promise<Found[]> => {
  const { vms } = await NODE.discover({ ...request, ...(filter === undefined ? {} : { filter }) })
  // The node filters; one that ignores the filter is put right here.
  const wanted =
    filter === undefined ? vms : vms.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()))
  const found: Found[] = []
  for (const vm of wanted.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)))
    found.push({ vm, managed: await findManaged(DB.orm, request.vcenter, vm) })
  return found
}

export const toDiscovered = ({ vm, managed }: Found): DiscoveredVm => {
  const known = toVmAnswer(vm)
  return {
    id: known.id,
    name: known.name,
    path: known.path,
    power_state: known.power_state,
    guest_os: known.guest_os,
    memory_mb: known.memory_mb,
    num_cpu: known.num_cpu,
    vmx_version: known.vmx_version,
    disks: known.disks.map((disk) => ({
      id: disk.id ?? null,
      label: disk.label ?? null,
      path: disk.path ?? disk.vmdk_path ?? null,
      size_gb: toGb(diskBytes(disk)),
      capacity_bytes: diskBytes(disk),
      datastore: disk.datastore ?? null,
    })),
    networks: known.networks.map((network) => ({
      label: network.label ?? null,
      network_name: network.network_name ?? null,
      mac_address: network.mac_address ?? null,
    })),
    existing: managed !== undefined,
    context_id: managed?.contextId ?? null,
  }
}

const specsOf = (vm: InventoryVm) => {
  const { cpus, memory_mb, os_type, power_state, vmware_tools_version } = toVmAnswer(vm)
  return {
    cpuCount: cpus,
    memoryMb: memory_mb,
    osType: os_type,
    powerState: power_state,
    vmToolsVersion: vmware_tools_version,
  }
}

const diskRows = (id: string, vm: InventoryVm) =>
  (vm.disks ?? []).map((disk, diskIndex) => ({
    vmContextId: id,
    diskIndex,
    diskId: `disk-${diskKey(diskIndex)}`,
    vmdkPath: (disk.vmdk_path ?? disk.path ?? disk.id ?? '').slice(0, 1024),
    sizeGb: toGb(diskBytes(disk)),
    capacityBytes: diskBytes(disk),
    datastore: disk.datastore?.slice(0, 255) ?? null,
    unitNumber: disk.unit_number ?? null,
    label: disk.label?.slice(0, 255) ?? null,
    provisioningType: disk.provisioning_type?.slice(0, 255) ?? null,
    displayName: vm.display_name ?? vm.name,
    ...specsOf(vm),
  }))

type AddEnv = Env<'DB' | 'CLOCK'>

/** Brings a managed VM's disks and specs up to date, so that a new disk is in the next backup. */
const refreshVm = ({ DB, CLOCK }: AddEnv, managed: VmRow, vm: InventoryVm, credentialId: number | null) =>
  DB.transaction(async (tx) => {
    await updateVm(tx, managed.contextId, {
      ...specsOf(vm),
      vmPath: vm.path ?? managed.vmPath,
      credentialId: managed.credentialId ?? credentialId,
      ...(managed.currentStatus === 'discovered' && (vm.disks ?? []).length > 0
        ? { currentStatus: 'ready' as const, lastStatusChange: CLOCK.now() }
        : {}),
    })
    await replaceDisks(tx, managed.contextId, diskRows(managed.contextId, vm))
  })

const insertNew = async ({ DB, CLOCK }: AddEnv, vm: InventoryVm, { request, credentialId }: Source): Promise<VmRow> => {
  for (let at = CLOCK.now(); ; at = new Date(at.getTime() + 1000)) {
    const id = contextId(vm.name, at)
    if (await findVmByContextId(DB.orm, id)) continue
    const hasDisks = (vm.disks ?? []).length > 0
    await DB.transaction(async (tx) => {
      await insertVm(tx, {
        contextId: id,
        vmName: vm.name,
        vmwareVmId: vm.id,
        vmPath: vm.path ?? vm.name,
        vcenterHost: request.vcenter,
        datacenter: vm.datacenter ?? request.datacenter,
        currentStatus: hasDisks ? 'ready' : 'discovered',
        lastStatusChange: CLOCK.now(),
        credentialId,
        osseaConfigId: await activeOsseaConfigId(tx),
        ...specsOf(vm),
        autoAdded: true,
        schedulerEnabled: true,
      })
      await replaceDisks(tx, id, diskRows(id, vm))
    })
    return (await findVmByContextId(DB.orm, id))!
  }
}

/**
 * Takes VMs under management. One that is managed already is brought up to date and skipped; a name that the source does not know is
 * a failed row.
 * @param names undefined or empty takes all that were found
 */
export const addVms = async (
  env: AddEnv,
  source: Source,
  found: Found[],
  names: string[] | undefined,
): Promise<
  Omit<BulkAddResult, 'discovery_duration' | 'discovery_duration_ms' | 'processing_duration' | 'processing_duration_ms'>
> => {
  const wanted = names === undefined || names.length === 0 ? found.map(({ vm }) => vm.name) : [...new Set(names)]
  const result = {
    total_requested: wanted.length,
    successfully_added: 0,
    skipped: 0,
    failed: 0,
    added_vms: [],
    skipped_vms: [],
    failed_vms: [],
  } as unknown as BulkAddResult
  for (const name of wanted) {
    const match = found.find(({ vm }) => vm.name === name)
    if (!match) {
      result.failed_vms.push({ vm_name: name, vm_path: '', error: 'the source has no VM of this name' })
      continue
    }
    const { vm } = match
    const path = vm.path ?? vm.name
    const managed = match.managed ?? (await findManaged(env.DB.orm, source.request.vcenter, vm))
    if (managed) {
      await refreshVm(env, managed, vm, source.credentialId)
      result.skipped_vms.push({
        vm_name: name,
        vm_path: path,
        reason: 'managed already; disks and specs were brought up to date',
        existing_context_id: managed.contextId,
      })
      continue
    }
    try {
      const row = await insertNew(env, vm, source)
      result.added_vms.push({
        context_id: row.contextId,
        vm_name: row.vmName,
        vm_path: row.vmPath,
        status: row.currentStatus,
        auto_added: row.autoAdded,
        cpu_count: row.cpuCount,
        memory_mb: row.memoryMb,
        os_type: row.osType,
        power_state: row.powerState,
      })
    } catch (error) {
      if (!isDuplicate(error)) throw error
      result.failed_vms.push({ vm_name: name, vm_path: path, error: 'another VM of this vCenter has this name or id' })
    }
  }
  result.successfully_added = result.added_vms.length
  result.skipped = result.skipped_vms.length
  result.failed = result.failed_vms.length
  return result
}
