/** Reads an open file piece by piece. Clients ask for one piece after the other; so one stream is read on, and begun anew where they jump. */
import type { Readable } from 'node:stream'
import type { MountedTree, Opened } from './mounted-tree.ts'

export class FileReader {
  readonly #tree: MountedTree
  readonly #file: Opened
  #stream: Readable | undefined
  #chunks: AsyncIterator<Buffer> | undefined
  #rest: Buffer = Buffer.alloc(0)
  #position = 0
  /** Pieces are read in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(tree: MountedTree, file: Opened) {
    this.#tree = tree
    this.#file = file
  }

  get attributes() {
    return this.#file.attributes
  }

  /** @returns fewer bytes where the file ends; none after its end */
  read(offset: number, length: number): Promise<Buffer> {
    const piece = this.#last.then(() => this.#read(offset, length))
    this.#last = piece.catch(() => this.#end())
    return piece
  }

  async close(): Promise<void> {
    await this.#last
    this.#end()
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    const size = this.#file.info.size
    if (offset >= size) return Buffer.alloc(0)
    if (!this.#chunks || offset !== this.#position) {
      this.#end()
      this.#stream = await this.#tree.read(this.#file, offset)
      this.#chunks = this.#stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
      this.#position = offset
    }
    const wanted = Math.min(length, size - offset)
    const parts = [this.#rest]
    let have = this.#rest.length
    while (have < wanted) {
      const { done, value } = await this.#chunks.next()
      if (done) throw new Error('the file ended early')
      parts.push(value)
      have += value.length
    }
    const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    this.#rest = all.subarray(wanted)
    this.#position = offset + wanted
    return all.subarray(0, wanted)
  }

  #end() {
    this.#stream?.destroy()
    this.#stream = undefined
    this.#chunks = undefined
    this.#rest = Buffer.alloc(0)
  }
}
