/** Bytes of a device or an image at any place, a larger piece of which is read at a time: inodes that are asked for one after the other lie together. */
import { closeSync, openSync, readSync } from 'node:fs'

const pieceBytes = 64 * 1024
const piecesMax = 64

export type Place = { bytes: DataView; at: number }

export class BlockFile {
  readonly #fd: number
  readonly #pieces = new Map<number, DataView>()
  #last = -1
  #lastPiece: DataView = new DataView(new ArrayBuffer(0))

  /** @throws Error when it can not be opened */
  constructor(path: string) {
    this.#fd = openSync(path, 'r')
  }

  /** @param offset and `length` in bytes; both are powers of two, or multiples of one, and lie in one piece @throws Error behind the end, or where it can not be read */
  at(offset: number, length: number): Place {
    const number = Math.floor(offset / pieceBytes)
    const at = offset - number * pieceBytes
    if (number !== this.#last) {
      this.#lastPiece = this.#piece(number)
      this.#last = number
    }
    if (at + length > this.#lastPiece.byteLength) throw new RangeError('behind the end')
    return { bytes: this.#lastPiece, at }
  }

  #piece(number: number): DataView {
    const known = this.#pieces.get(number)
    if (known) return known
    // Never its memory again: who walks through a tree still holds views of the nodes above.
    if (this.#pieces.size >= piecesMax) this.#pieces.delete(this.#pieces.keys().next().value!)
    // Not zeroed: only what was read is looked at.
    const bytes = Buffer.allocUnsafeSlow(pieceBytes)
    let filled = 0
    while (filled < pieceBytes) {
      const count = readSync(this.#fd, bytes, filled, pieceBytes - filled, number * pieceBytes + filled)
      if (count === 0) break
      filled += count
    }
    const piece = new DataView(bytes.buffer, 0, filled)
    this.#pieces.set(number, piece)
    return piece
  }

  close(): void {
    closeSync(this.#fd)
  }
}
