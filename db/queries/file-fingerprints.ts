/** Fingerprints that a volume's newest walk told (contract/agent.ts): what the next walk is given, so that it tells only what is new. Nobody here knows what they mean. */
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { ToldFingerprints } from '../../contract/agent.ts'
import { fingerprintsBytesMax } from '../../contract/index-slices.ts'

/** Of one row, in bytes: less than any server takes in a statement. */
const rowBytes = 1024 * 1024

export type KnownVolume = { id: number; volume: string; fingerprints: Buffer }

/** @param at when the point was completed that the walk was of */
export const knownFingerprints = async (
  connection: Pick<Pool | PoolConnection, 'query'>,
  contextId: string,
  at: number,
): Promise<KnownVolume[]> => {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT o.id, o.volume, p.fingerprints FROM file_volumes o JOIN file_fingerprints p ON p.volume_id = o.id
     WHERE o.vm_backup_context_id = ? AND p.point_at = ? ORDER BY o.id, p.part`,
    [contextId, at],
  )
  const volumes = new Map<number, { volume: string; parts: Buffer[] }>()
  for (const { id, volume, fingerprints } of rows) {
    const known = volumes.get(id)
    if (known) known.parts.push(fingerprints)
    else volumes.set(id, { volume, parts: [fingerprints] })
  }
  return [...volumes].map(([id, { volume, parts }]) => ({ id, volume, fingerprints: Buffer.concat(parts) }))
}

/** What a walk told of a part. @param given to that walk @returns undefined for what can not be: it is told anew then */
export const toldFingerprints = (told: ToldFingerprints, given: Buffer | undefined): Buffer | undefined => {
  if (typeof told === 'string') return Buffer.from(told, 'base64')
  const { from, bytes, over } = told
  if (!given || from + bytes > given.length) return undefined
  const part = Buffer.from(given.subarray(from, from + bytes))
  for (const [at, written] of over) Buffer.from(written, 'base64').copy(part, Math.min(at, bytes))
  return part
}

/** Of a machine, but for those of one walk. */
export const forgetFingerprints = async (
  connection: Pick<Pool | PoolConnection, 'query'>,
  contextId: string,
  exceptAt: number | undefined,
): Promise<void> => {
  await connection.query(
    `DELETE p FROM file_fingerprints p JOIN file_volumes o ON o.id = p.volume_id
     WHERE o.vm_backup_context_id = ? AND p.point_at <> ?`,
    [contextId, exceptAt ?? -1],
  )
}

/** Keeps what a walk tells, while it tells: of some megabytes a server takes a tenth of a second to write them. Nobody is given them before the walk's point is known as indexed. */
export class FingerprintWriter {
  readonly #pool: Pick<Pool, 'execute'>
  readonly #at: number
  /** One is filled while the other is written, for all rows: ten megabytes that nobody has touched before take a virtual machine 50 ms. */
  #row = Buffer.alloc(rowBytes)
  #written = Buffer.alloc(rowBytes)
  #filled = 0
  #volumeId = 0
  /** Of all volumes: one that a walk tells of twice has one after the other. */
  #part = 0
  #room: number
  #writing: Promise<void> = Promise.resolve()

  /** @param at when the point was completed that the walk is of @param bytesMax of all volumes */
  constructor(pool: Pick<Pool, 'execute'>, at: number, bytesMax = fingerprintsBytesMax) {
    this.#pool = pool
    this.#at = at
    this.#room = bytesMax
  }

  /** Of one part of a folder. Those that there is no room for are told anew by the next walk. */
  async add(volumeId: number, part: Buffer): Promise<void> {
    if (part.length > this.#room) return
    this.#room -= part.length
    if (volumeId !== this.#volumeId) await this.#write()
    this.#volumeId = volumeId
    for (let from = 0; from < part.length; ) {
      const copied = part.copy(this.#row, this.#filled, from)
      from += copied
      this.#filled += copied
      if (this.#filled === rowBytes) await this.#write()
    }
  }
  /** All that was added is written then. */
  async end(): Promise<void> {
    await this.#write()
    await this.#writing
  }
  /** What is being written is over then, however it ends. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  /** Begins to write the row, once the one before it is written. */
  async #write(): Promise<void> {
    if (this.#filled === 0) return
    await this.#writing
    const row = this.#row.subarray(0, this.#filled)
    // Prepared: the bytes go as they are, and not as twice as many digits.
    const written = this.#pool.execute(
      'INSERT INTO file_fingerprints (volume_id, point_at, part, fingerprints) VALUES (?, ?, ?, ?)',
      [this.#volumeId, this.#at, this.#part++, row],
    )
    this.#writing = written.then(() => undefined)
    // Looked at in its turn; until then a rejection is not an unhandled one.
    this.#writing.catch(() => undefined)
    const spare = this.#written
    this.#written = this.#row
    this.#row = spare
    this.#filled = 0
  }
}
