/** Bytes of an open device or image at any place, a larger piece of which is read at a time: inodes that are asked for one after the other lie together. */
import { constants, readSync, readvSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Small: of inodes of folders, which lie apart, most often no more than one is asked for. */
const pieceBytes = 16 * 1024
const piecesMax = 256
/** Read at once where one piece after the other is asked for. */
const piecesAtOnce = 32

/** Until something else of the file is asked for: its memory is used again. */
export type Place = { bytes: DataView; at: number }
/** Of those that were closed. Memory that a process has not had before takes the kernel several times as long as reading into it. */
const spareMemory: Uint8Array[] = []
const giveBack = (memory: Uint8Array) => {
  if (spareMemory.length < piecesMax) spareMemory.push(memory)
}

/**
 * Opens what is read once and never again: where that can be, so that the kernel does not keep it. Of an image of FUSE it forgets it anyway, whenever the file is opened or looked at anew.
 * @throws Error when it can not be opened
 */
export const openUnkept = async (path: string): Promise<FileHandle> => {
  const file = await open(path, constants.O_RDONLY | constants.O_DIRECT).catch(() => undefined)
  // Devices and most filesystems take memory at certain addresses only, which nobody can choose here; FUSE takes any.
  if (file && (await takesAnyMemory(file))) return file
  await file?.close()
  return open(path, constants.O_RDONLY)
}
const takesAnyMemory = async (file: FileHandle): Promise<boolean> => {
  if (!(await file.stat()).isFile()) return false
  return file.read(Buffer.alloc(pieceBytes), 1, pieceBytes / 2, 0).then(
    () => true,
    () => false,
  )
}

export class BlockFile {
  readonly #fd: number
  readonly #begin: number
  /** The oldest one first. */
  readonly #pieces = new Map<number, DataView>()
  #last = -1
  #lastPiece: DataView = new DataView(new ArrayBuffer(0))
  /** Behind those that were read last, and how many they were. */
  #next = -1
  #atOnce = 1

  /** @param begin the byte that all places count from */
  constructor(fd: number, begin: number) {
    this.#fd = fd
    this.#begin = begin
  }

  /** @param offset and `length` in bytes; both are powers of two, or multiples of one @throws Error behind the end, or where it can not be read */
  at(offset: number, length: number): Place {
    if (length > pieceBytes) return { bytes: this.#joined(offset, length), at: 0 }
    const number = Math.floor(offset / pieceBytes)
    const at = offset - number * pieceBytes
    if (number !== this.#last) {
      // Its memory may be given to another, which may then fail.
      this.#last = -1
      this.#lastPiece = this.#pieces.get(number) ?? this.#read(number)
      this.#last = number
    }
    if (at + length > this.#lastPiece.byteLength) throw new RangeError('behind the end')
    return { bytes: this.#lastPiece, at }
  }

  /** Of what no piece holds: blocks of a filesystem that was made where pages of memory are larger. */
  #joined(offset: number, length: number): DataView {
    const all = new Uint8Array(length)
    for (let filled = 0; filled < length; filled += pieceBytes) {
      const { bytes, at } = this.at(offset + filled, pieceBytes)
      all.set(new Uint8Array(bytes.buffer, at, pieceBytes), filled)
    }
    return new DataView(all.buffer)
  }

  /** @returns that piece; some that follow are known then, too, where the ones before it were asked for */
  #read(number: number): DataView {
    this.#atOnce = number === this.#next ? Math.min(2 * this.#atOnce, piecesAtOnce) : 1
    const memory = Array.from({ length: this.#atOnce }, () => this.#takeMemory())
    let filled = this.#fill(memory, number)
    for (const [at, piece] of memory.entries()) {
      const bytes = Math.min(filled, pieceBytes)
      filled -= bytes
      // One that ends early may have been cut by damage behind what was asked for.
      if (at === 0 || bytes === pieceBytes) this.#pieces.set(number + at, new DataView(piece.buffer, 0, bytes))
      else giveBack(piece)
    }
    this.#next = number + memory.length
    return this.#pieces.get(number)!
  }
  /** @returns how many bytes there were; of the first piece all that there are */
  #fill(memory: readonly Uint8Array[], number: number): number {
    const from = this.#begin + number * pieceBytes
    let filled = 0
    if (memory.length > 1)
      try {
        filled = readvSync(this.#fd, memory, from)
      } catch {
        // The first one by itself may be whole.
      }
    while (filled < pieceBytes) {
      const count = readSync(this.#fd, memory[0]!, filled, pieceBytes - filled, from + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }
  #takeMemory(): Uint8Array {
    const [oldest] = this.#pieces
    // Not zeroed: only what was read is looked at.
    if (!oldest || this.#pieces.size < piecesMax) return spareMemory.pop() ?? Buffer.allocUnsafeSlow(pieceBytes)
    const [number, { buffer }] = oldest
    this.#pieces.delete(number)
    return new Uint8Array(buffer)
  }

  /** Gives its memory back. */
  close(): void {
    for (const { buffer } of this.#pieces.values()) giveBack(new Uint8Array(buffer))
    this.#pieces.clear()
  }
}
