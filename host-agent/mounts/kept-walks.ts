/**
 * Fingerprints of walks through volumes (files/fingerprints.ts), each kept for the next walk of its machine, which then tells only what has changed. Nothing depends on them: what is not there is
 * told as a whole. They came from a reader that a guest may have taken over, as all that it tells.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { IndexWalk } from '../../contract/agent.ts'
import type { Coming } from '../../contract/json-and-bytes.ts'
import { fingerprintsBytesMax } from '../files/fingerprints.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import { log } from '../log.ts'
import { KeyedMutex } from '../mutex.ts'

const chunkBytes = 256 * 1024
/** A machine that is not walked for so long is told anew. */
const keptMs = 90 * 24 * 3_600_000
/** Of one that is being written. */
const unfinished = '.new'

const nothing = (): Coming => ({ bytes: 0, chunks: (async function* () {})() })

export class KeptWalks {
  readonly #folder: string
  /** By machines: who asks for a walk waits until it is kept. */
  readonly #mutex = new KeyedMutex()

  /** @param folder absolute, made when it is needed */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** What was kept under `since` of a volume. */
  async known(walk: IndexWalk | null, volume: string): Promise<Coming> {
    if (walk === null || walk.since === null) return nothing()
    const path = this.#fileOf(walk, walk.since, volume)
    return this.#mutex.run(walk.vm_backup_context_id, async () => {
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      )
      return size === 0 || size > fingerprintsBytesMax ? nothing() : { bytes: size, chunks: chunksOf(path) }
    })
  }

  /** Keeps what readers have walked through, by what their volumes are called; what can not be kept is logged. */
  async keep(walk: IndexWalk, walked: ReadonlyMap<string, VolumeReader>): Promise<void> {
    await this.#mutex.run(walk.vm_backup_context_id, async () => {
      try {
        await mkdir(this.#folderOf(walk), { recursive: true, mode: 0o700 })
        for (const [volume, reader] of walked) await this.#keepOne(this.#fileOf(walk, walk.at, volume), reader)
        await this.#forgetOthers(walk)
        await this.#forgetOld()
      } catch (error) {
        log.warn({ err: error }, 'what a walk saw could not be kept; the next one tells of all files')
      }
    })
  }

  async #keepOne(path: string, reader: VolumeReader): Promise<void> {
    const fresh = `${path}${unfinished}`
    const file = await open(fresh, 'w', 0o600)
    try {
      const content = await reader.fingerprints()
      await content(limited(file), new AbortController().signal)
      // One that is cut by a loss of power would say of files that they are as they were.
      await file.datasync()
      await rename(fresh, path)
    } finally {
      await file.close()
      await rm(fresh, { force: true })
    }
  }

  /** Whoever was cut off after this walk asks for the one before again. */
  async #forgetOthers(walk: IndexWalk): Promise<void> {
    const kept = [walk.at, ...(walk.since === null ? [] : [walk.since])]
    for (const name of await readdir(this.#folderOf(walk)))
      if (!kept.some((at) => name.startsWith(`${at}-`)) || name.endsWith(unfinished))
        await rm(join(this.#folderOf(walk), name), { force: true })
  }

  async #forgetOld(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const folder = join(this.#folder, name)
      if ((await stat(folder)).mtimeMs < Date.now() - keptMs) await rm(folder, { recursive: true, force: true })
    }
  }

  #folderOf({ vm_backup_context_id: machine }: IndexWalk): string {
    return join(this.#folder, machine)
  }
  #fileOf(walk: IndexWalk, at: number, volume: string): string {
    return join(this.#folderOf(walk), `${at}-${createHash('sha256').update(volume).digest('hex')}`)
  }
}

/** Opened when the first is asked for. */
async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    yield* file.createReadStream({ autoClose: false, highWaterMark: chunkBytes }) as AsyncIterable<Buffer>
  } finally {
    await file.close()
  }
}

/** Fails when it is given more than a volume can have. */
const limited = (file: FileHandle): Writable => {
  let room = fingerprintsBytesMax
  const target = new Writable({
    highWaterMark: chunkBytes,
    write(chunk: Buffer, _encoding, done) {
      room -= chunk.length
      if (room < 0) done(new Error('its reader tells more than a volume can have'))
      else file.appendFile(chunk).then(() => done(), done)
    },
  })
  // Whoever writes hears of it.
  return target.on('error', () => undefined)
}
