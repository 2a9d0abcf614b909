import { z } from 'zod'
import { bytes, listCounts, str, time, timeIn } from './common.ts'

const text = (max = 1024) => z.string().max(max).nullish()
const int = z.int().min(0).nullish()

export const inventoryDisk = z.object({
  id: text(),
  label: text(),
  path: text(),
  vmdk_path: text(),
  size_gb: z.number().min(0).nullish(),
  capacity_bytes: bytes.nullish(),
  used_bytes: bytes.nullish(),
  datastore: text(),
  provisioning_type: text(),
  unit_number: z.int().nullish(),
})
export const inventoryNetwork = z.object({
  label: text(),
  network_name: text(),
  adapter_type: text(),
  mac_address: text(),
  connected: z.boolean().nullish(),
  type: text(),
})

/** A VM as a node describes it. `cpus`/`num_cpu` and `os_type`/`guest_os` are aliases. */
export const inventoryVm = z.object({
  id: str(1, 191),
  name: str(1),
  path: text(500),
  datacenter: text(255),
  cpus: int,
  num_cpu: int,
  memory_mb: int,
  power_state: text(255),
  os_type: text(255),
  guest_os: text(255),
  vmx_version: text(255),
  display_name: text(255),
  annotation: text(65535),
  folder_path: text(),
  vmware_tools_status: text(255),
  vmware_tools_version: text(255),
  disks: z.array(inventoryDisk).max(1024).nullish(),
  networks: z.array(inventoryNetwork).max(1024).nullish(),
})
export type InventoryVm = z.infer<typeof inventoryVm>

export const inventoryBody = z.object({
  vcenter: z.object({ host: str(1), datacenter: str(1) }),
  vms: z.array(inventoryVm).max(20_000),
  timestamp: timeIn.optional(),
  appliance_id: str().optional(),
  datacenter: str().optional(),
})

/** The answer's VM: aliases filled in, what is not known is null. */
export const vmAnswer = z.object({
  id: z.string(),
  name: z.string(),
  path: z.string().nullable(),
  datacenter: z.string().nullable(),
  cpus: z.int().nullable(),
  num_cpu: z.int().nullable(),
  memory_mb: z.int().nullable(),
  power_state: z.string().nullable(),
  os_type: z.string().nullable(),
  guest_os: z.string().nullable(),
  vmx_version: z.string().nullable(),
  display_name: z.string().nullable(),
  annotation: z.string().nullable(),
  folder_path: z.string().nullable(),
  vmware_tools_status: z.string().nullable(),
  vmware_tools_version: z.string().nullable(),
  disks: z.array(inventoryDisk),
  networks: z.array(inventoryNetwork),
})
export type VmAnswer = z.infer<typeof vmAnswer>

export const vmsAnswer = z.object({ vms: z.array(vmAnswer), ...listCounts })
export const inventoryAnswer = z.object({ message: z.string(), vm_count: z.int(), timestamp: time })

/** Fills the aliases of an inventory VM, and null for what is absent. */
export const toVmAnswer = (vm: InventoryVm): VmAnswer => {
  const cpus = vm.cpus ?? vm.num_cpu ?? null
  const osType = vm.os_type ?? vm.guest_os ?? null
  return {
    id: vm.id,
    name: vm.name,
    path: vm.path ?? null,
    datacenter: vm.datacenter ?? null,
    cpus,
    num_cpu: cpus,
    memory_mb: vm.memory_mb ?? null,
    power_state: vm.power_state ?? null,
    os_type: osType,
    guest_os: osType,
    vmx_version: vm.vmx_version ?? null,
    display_name: vm.display_name ?? null,
    annotation: vm.annotation ?? null,
    folder_path: vm.folder_path ?? null,
    vmware_tools_status: vm.vmware_tools_status ?? null,
    vmware_tools_version: vm.vmware_tools_version ?? null,
    disks: vm.disks ?? [],
    networks: vm.networks ?? [],
  }
}

/** The size of a disk in bytes: `capacity_bytes`, else from `size_gb`; 0 when neither is known. */
export const diskBytes = (disk: z.infer<typeof inventoryDisk>) =>
  disk.capacity_bytes ?? Math.round((disk.size_gb ?? 0) * 2 ** 30)
