/** Fingerprints of all that a walk told (fingerprints.ts), for the next one. */
import { type Fingerprints, fingerprintsBytesMax, lengthOfPart } from './fingerprints.ts'
import type { FolderTasks } from './folder-tasks.ts'

const chunkBytes = 256 * 1024

export class WalkFingerprints {
  /** Those of the walk before; what stayed as it was, or was overwritten, is taken from there. */
  readonly #known: Buffer
  readonly #kept: Uint32Array[] = []
  readonly #new: Uint8Array[] = []
  #room: number

  /** @param bytesMax those that there is no room for are told anew by the next walk */
  constructor({ bytes }: Fingerprints, bytesMax = fingerprintsBytesMax) {
    this.#known = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#room = bytesMax
  }

  /** What a thread has told. */
  add({ kept, prints }: Pick<FolderTasks['walk']['give'], 'kept' | 'prints'>): void {
    const keptBytes = kept.reduce((sum, offset) => sum + lengthOfPart(this.#known, offset), 0)
    if (keptBytes + prints.length > this.#room) return
    this.#room -= keptBytes + prints.length
    this.#kept.push(kept)
    this.#new.push(prints)
  }

  /** All of them, one after the other in any order. */
  *chunks(): Generator<Buffer> {
    for (const prints of this.#new)
      if (prints.length > 0) yield Buffer.from(prints.buffer, prints.byteOffset, prints.length)
    let parts: Buffer[] = []
    let size = 0
    for (const offsets of this.#kept)
      for (const offset of offsets) {
        const part = this.#known.subarray(offset, offset + lengthOfPart(this.#known, offset))
        parts.push(part)
        size += part.length
        if (size < chunkBytes) continue
        yield Buffer.concat(parts, size)
        parts = []
        size = 0
      }
    if (size > 0) yield Buffer.concat(parts, size)
  }
}
