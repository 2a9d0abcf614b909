import type { VolumeReader } from '../files/volume-reader.ts'

/** What one volume has of a folder of the guest and of all that lies below it. */
export type VolumePart = {
  reader: VolumeReader
  /** Folder of the volume that the paths are of. */
  folder: Buffer
  only: readonly Buffer[] | undefined
  /** What others have mounted there, below the folder. */
  without: readonly Buffer[]
  /** Where the part begins, below the guest's folder. */
  prefix: Buffer
}
