/**
 * What a disk looked like: a digest of every 64 KiB block. The digest of the map is the change id that the hub gets; a later
 * incremental compares against the map of the id that the hub hands back.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

/** The cluster of the QCOW2 files: a smaller block would be stored whole anyway. */
export const blockBytes = 65_536
/** SHA-256 cut to 128 bits: no two blocks are taken for one another, by chance or on purpose. */
export const digestBytes = 16
export const blockCount = (size: number) => Math.ceil(size / blockBytes)
export const digestOf = (block: Buffer): Buffer => createHash('sha256').update(block).digest().subarray(0, digestBytes)

const zeroBlock = Buffer.alloc(blockBytes)
export const isZero = (block: Buffer) =>
  block.equals(block.length === blockBytes ? zeroBlock : zeroBlock.subarray(0, block.length))
const zeroDigest = digestOf(zeroBlock)
/** The same as digestOf, faster for zeros. */
export const blockDigest = (block: Buffer): Buffer =>
  block.length === blockBytes && isZero(block) ? zeroDigest : digestOf(block)

/** Maps are small beside the disks, but not nothing: those that nobody asked for the longest go first. */
const mapsMax = 512
const idPattern = /^blockmap-([0-9a-f]{64})$/

export class BlockMaps {
  readonly #folder: string
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Stores a map durably. @returns its change id */
  async keep(map: Buffer, size: number): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const digest = createHash('sha256').update(String(size)).update('\0').update(map).digest('hex')
    const path = join(this.#folder, digest)
    const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(map)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await this.#forgetOld()
    return `blockmap-${digest}`
  }

  /** @returns undefined when the id is not ours, the map is gone, or the disk has another size: then everything is copied */
  async open(changeId: string, size: number): Promise<Buffer | undefined> {
    const digest = idPattern.exec(changeId)?.[1]
    if (digest === undefined) return undefined
    const path = join(this.#folder, digest)
    const map = await readFile(path).catch(() => undefined)
    if (map?.length !== blockCount(size) * digestBytes) return undefined
    // A map that was damaged would make changed blocks look unchanged.
    if (createHash('sha256').update(String(size)).update('\0').update(map).digest('hex') !== digest) return undefined
    await utimes(path, new Date(), new Date())
    return map
  }

  async #forgetOld() {
    const names = (await readdir(this.#folder)).filter((name) => !name.endsWith('.tmp'))
    if (names.length <= mapsMax) return
    const aged = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.#folder, name))).mtimeMs })),
    )
    aged.sort((a, b) => a.at - b.at)
    for (const { name } of aged.slice(0, names.length - mapsMax)) await rm(join(this.#folder, name), { force: true })
  }
}
