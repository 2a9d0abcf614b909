/** What every kind of source offers: its VMs, and all disks of one of them at one instant. */
import type { InventoryVm } from '../../contract/api/inventory.ts'
import type { Progress } from '../mover/progress.ts'

export type NbdTarget = { host: string; port: number; exportName: string }

/** One disk of a VM that is being backed up. */
export interface SourceDisk {
  readonly index: number
  /** Bytes. */
  readonly size: number
  /**
   * Copies the disk into the export, flush included.
   * @param since change id that the hub holds; null copies everything
   * @param isIncremental whether the export has a parent, so that zeros must be written where it has data
   * @returns the change id that the next incremental starts from
   */
  copy(
    target: NbdTarget,
    since: string | null,
    isIncremental: boolean,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<{ changeId: string | null; bytesTransferred: number }>
}

export interface OpenVm {
  disks: SourceDisk[]
  /** Lets go of the instant: removes the snapshot, closes files. */
  close(): Promise<void>
}

export interface Source {
  discover(filter: string | undefined): Promise<InventoryVm[]>
  /** @throws Error when there is no such VM or it can't be opened */
  open(vm: { name: string; path: string }): Promise<OpenVm>
}
