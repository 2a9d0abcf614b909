/** Who parses which filesystem of a guest: the ladder, as far as this host has its steps and an admin lets it. */
import { type HostFilesystem, hostFilesystems } from '../../contract/settings.ts'
import { hasDriver } from './fuse-drivers.ts'

/** `sandbox`: a driver of no rights; `machine`: the kernel of a throw-away machine; `host`: the host itself. */
export type ReaderKind = 'sandbox' | 'machine' | 'host'
/** Or why nobody does. */
export type ReaderChoice = { reader: ReaderKind } | { none: string }

export type Ladder = {
  /** `auto`: those that no safer step reads on this host. */
  hostMounts: 'auto' | readonly HostFilesystem[]
  /** `auto`: those that have no driver in a sandbox. */
  machineMounts: 'auto' | readonly HostFilesystem[]
  /** What is missing for it; undefined: nothing. */
  noSandbox: string | undefined
  noMachine: string | undefined
  /** What the host's own kernel knows. */
  kernelHas: readonly HostFilesystem[]
}

/** NTFS is read by its driver alone: stock kernels of Debian have none. */
export const machineCanMount = (filesystem: HostFilesystem): boolean => filesystem !== 'ntfs'

const isNamed = (named: 'auto' | readonly HostFilesystem[], filesystem: HostFilesystem) =>
  named !== 'auto' && named.includes(filesystem)

export const chooseReader = (filesystem: HostFilesystem, ladder: Ladder): ReaderChoice => {
  const { hostMounts, machineMounts, noSandbox, noMachine, kernelHas } = ladder
  const byHost = (): ReaderChoice =>
    kernelHas.includes(filesystem) ? { reader: 'host' } : { none: `the kernel of this host has no ${filesystem}` }
  if (isNamed(machineMounts, filesystem))
    return noMachine === undefined && machineCanMount(filesystem)
      ? { reader: 'machine' }
      : { none: `it is read in a throw-away machine only, and ${noMachine ?? `that has no ${filesystem}`}` }
  if (isNamed(hostMounts, filesystem)) return byHost()
  if (hasDriver(filesystem) && noSandbox === undefined) return { reader: 'sandbox' }
  if (machineMounts === 'auto' && noMachine === undefined && machineCanMount(filesystem)) return { reader: 'machine' }
  if (hostMounts === 'auto') return byHost()
  return {
    none: hasDriver(filesystem)
      ? `it is read in a sandbox only, and this host can not make one: ${noSandbox}; SENDENSE_HOST_MOUNTS lets the host itself mount it`
      : `only a kernel can read ${filesystem}: SENDENSE_HOST_MOUNTS does not let the host's, and ${noMachine ?? 'SENDENSE_MACHINE_MOUNTS lets no throw-away machine'}`,
  }
}

export type Readers = ReadonlyMap<HostFilesystem, ReaderChoice>
export const chooseReaders = (ladder: Ladder): Readers =>
  new Map(hostFilesystems.map((filesystem) => [filesystem, chooseReader(filesystem, ladder)]))
