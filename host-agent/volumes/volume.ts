/** A volume of a guest: a partition, a disk without any, or what lies within those. */
import type { PartitionKind, PartitionRole } from '../../contract/api/restore.ts'
import type { Piece } from './layers/blocks.ts'

export type Volume = {
  /** Names it in its mount; by its disk and its place there, or, from `openedFrom` on, in the order in which they were found. */
  number: number
  kind: PartitionKind
  /** As the guest calls it, where it has a name of its own: `rhel/root`. */
  name: string | null
  /** Where it lies when it does so in one piece; null: whoever found it puts it together. */
  piece: Piece | null
  sizeBytes: number
  filesystem: string | null
  label: string | null
  /** Of its filesystem, or of what else lies on it. */
  uuid: string | null
  /** Of its entry in the partition table. */
  partUuid: string | null
  partLabel: string | null
  /** Of a decrypted one: the encrypted one. */
  within: number | null
  role: PartitionRole
  /** Why it can not be read, where that is known already. */
  closed: string | null
  /** It is encrypted, and nobody gave what opens it. */
  isLocked: boolean
}

/** Volumes of one disk have numbers from its place times this. */
export const numbersEach = 256
export const disksMax = 64
/** Volumes within volumes have numbers from here on. */
export const openedFrom = 32_768
/** More volumes than any machine has. */
export const volumesMax = 512

/** Whether it is a partition of this disk, or all of it. */
export const isOfTable = ({ kind }: Pick<Volume, 'kind'>) => kind === 'partition' || kind === 'whole_disk'
/** Its number in the table of its disk: 0 is the whole disk. */
export const placeInTable = ({ number }: Pick<Volume, 'number'>) => number % numbersEach

/** Why a volume can not be where its finder says; undefined when it can. */
export const outsideOfDisks = (
  volume: Volume,
  all: readonly Volume[],
  disks: readonly { virtualSize: number }[],
): string | undefined => {
  const { number, piece, sizeBytes } = volume
  if (!piece) return undefined
  const overlaps =
    isOfTable(volume) &&
    all.some(
      (other) =>
        other.number !== number &&
        isOfTable(other) &&
        other.piece?.disk === piece.disk &&
        piece.offsetBytes < other.piece.offsetBytes + other.sizeBytes &&
        other.piece.offsetBytes < piece.offsetBytes + sizeBytes,
    )
  const disk = disks[piece.disk]
  return overlaps || disk === undefined || piece.offsetBytes + sizeBytes > disk.virtualSize
    ? `the ${isOfTable(volume) ? 'partition' : 'volume'} lies outside the disk or overlaps another`
    : undefined
}
