/**
 * The agent's list of what it owns: one small file a thing, written before the thing is made and removed after it is gone.
 * What is not in the ledger is not ours and is never touched.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncPath, writeFileDurably } from '../durable/write-file.ts'
import { KeyedMutex } from './mutex.ts'

/** All disks of a backup write its context at once. */
const writers = new KeyedMutex()

/** See writeFileDurably; writers of one path take turns. */
export const writeDurably = (path: string, content: string | Buffer, mode?: number): Promise<void> =>
  writers.run(path, () => writeFileDurably(path, content, mode))

export class Ledger<Entry> {
  readonly #folder: string
  readonly #outlives: 'power-loss' | 'agent'

  /**
   * @param outlives what its entries must survive. What a reboot takes away by itself (mounts, devices, processes) needs no entry
   *   after one, and is written without waiting for the disk.
   */
  constructor(stateDir: string, kind: string, outlives: 'power-loss' | 'agent' = 'power-loss') {
    this.#folder = join(stateDir, 'ledger', kind)
    this.#outlives = outlives
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
  }

  async put(name: string, entry: Entry): Promise<void> {
    const path = this.#path(name)
    if (this.#outlives === 'power-loss') return writeDurably(path, JSON.stringify(entry))
    // At once: the page cache takes it in a fraction of the time that the thread pool needs to come back.
    writeFileSync(`${path}.tmp`, JSON.stringify(entry), { mode: 0o600 })
    renameSync(`${path}.tmp`, path)
  }

  async remove(name: string): Promise<void> {
    await rm(this.#path(name), { force: true })
    if (this.#outlives === 'power-loss') await syncPath(this.#folder)
  }

  async all(): Promise<[string, Entry][]> {
    const entries: [string, Entry][] = []
    for (const file of await readdir(this.#folder)) {
      const path = join(this.#folder, file)
      // A temporary file is an entry that was never made.
      const entry = file.endsWith('.json') ? await this.#read(path) : undefined
      if (entry === undefined) await rm(path, { force: true })
      else entries.push([file.slice(0, -'.json'.length), entry])
    }
    return entries
  }

  /** @returns undefined for what a power cut left half written, and took the thing itself with it @throws for any other damage */
  async #read(path: string): Promise<Entry | undefined> {
    const text = await readFile(path, 'utf8')
    try {
      return JSON.parse(text) as Entry
    } catch (cause) {
      if (this.#outlives === 'agent') return undefined
      throw new Error(`${path} is damaged`, { cause })
    }
  }

  /** Names are of our own making and safe as file names; see contract/names.ts. */
  #path(name: string) {
    return join(this.#folder, `${name}.json`)
  }
}
