/**
 * What lstat says of a file, read from where its filesystem keeps it. A walk through a whole volume asks for every file once, and a kernel takes ten times as long to make
 * one known to itself as it takes to read it, a driver in a process of its own fifty times. Nobody is believed blindly: who uses this looks at some files by lstat, too.
 */
import type { IndexedEntry } from '../../../contract/agent.ts'
import type { Names } from '../names.ts'
import { BlockFile } from './block-file.ts'
import { ExtInodes } from './ext-inodes.ts'
import { XfsInodes } from './xfs-inodes.ts'

/** Kind, size in bytes (of a regular file, else 0), time of the last change in microseconds since 1970; as IndexedEntry has them. */
export type Inode = { kind: IndexedEntry[1]; size: number; modified: number }

export interface InodeTable {
  /** undefined when it is not what a filesystem would write: damaged, or not in use. */
  inode(number: number): Inode | undefined
  /** A number that is another one whenever names have come into a folder or gone; undefined where `inode` is, and for what is no folder. Greater than 0. */
  mark(number: number): number | undefined
  /** Where folders can be read, too: their names; undefined when not all of them can be read. */
  folder?: (number: number) => Names | undefined
  /** Of the uppermost folder. */
  readonly root: number
  close(): void
}

const kinds: Record<string, (blocks: BlockFile) => InodeTable | undefined> = {
  ext2: ExtInodes.of,
  ext3: ExtInodes.of,
  ext4: ExtInodes.of,
  xfs: XfsInodes.of,
}
/** An open block device or image on which a filesystem lies from some byte on; it is mounted, and never written to. */
export type OpenImage = { fd: number; offsetBytes: number; filesystem: string }
/** @returns undefined for one that this can not read */
export const openInodeTable = ({ fd, offsetBytes, filesystem }: OpenImage): InodeTable | undefined => {
  const open = kinds[filesystem]
  if (!open) return undefined
  const blocks = new BlockFile(fd, offsetBytes)
  try {
    const table = open(blocks)
    if (!table) blocks.close()
    return table
  } catch {
    // It is looked at by lstat then.
    blocks.close()
    return undefined
  }
}
