/** How far the copy of one disk is. */
export type Progress = {
  /** Bytes that this backup will move of the disk, once known. */
  setTotal: (bytes: number) => void
  setDone: (bytes: number) => void
}
