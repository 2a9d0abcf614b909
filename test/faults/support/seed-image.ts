/** A disk to start from, of which each trial changes a little: nothing of it is read or written but that. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { sh } from '../../support/images.ts'

const blockBytes = 1024 ** 2
export const sectorBytes = 4096

export class SeedImage {
  /** What changes are made to. */
  readonly data: Buffer
  /** The same as a file; as long as nothing is changed, with holes where the disk has them. */
  readonly path: string
  readonly #seed: Buffer
  #used: number[] | undefined

  /** @param path where the file is made that is changed */
  constructor(seed: string, path: string) {
    this.path = path
    this.#seed = readFileSync(seed)
    this.data = Buffer.from(this.#seed)
    sh('/usr/bin/cp', ['--sparse=always', '--', seed, path])
  }

  /** Sectors that were not empty. */
  get usedSectors(): readonly number[] {
    const empty = Buffer.alloc(sectorBytes)
    this.#used ??= Array.from({ length: Math.floor(this.#seed.length / sectorBytes) }, (_, at) => at).filter(
      (at) => this.#seed.compare(empty, 0, sectorBytes, at * sectorBytes, (at + 1) * sectorBytes) !== 0,
    )
    return this.#used
  }

  /** Does something with the file once `data` was changed; both are as they were after that. */
  whileChanged(work: () => void): void {
    const changed = this.#changed()
    const file = openSync(this.path, 'r+')
    try {
      for (const [from, to] of changed) writeSync(file, this.data, from, to - from, from)
      work()
    } finally {
      for (const [from, to] of changed) {
        writeSync(file, this.#seed, from, to - from, from)
        this.#seed.copy(this.data, from, from, to)
      }
      closeSync(file)
    }
  }

  /** From where to where there are others now. */
  #changed(from = 0, to = this.data.length, stepBytes = blockBytes): [number, number][] {
    const found: [number, number][] = []
    for (let at = from; at < to; at += stepBytes) {
      const end = Math.min(to, at + stepBytes)
      if (this.data.compare(this.#seed, at, end, at, end) === 0) continue
      if (stepBytes === sectorBytes) found.push([at, end])
      else found.push(...this.#changed(at, end, sectorBytes))
    }
    return found
  }
}
