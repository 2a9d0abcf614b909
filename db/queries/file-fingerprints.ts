/** Fingerprints that a volume's newest walk told (contract/agent.ts): what the next walk is given, so that it tells only what is new. Nobody here knows what they mean. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { ToldFingerprints } from '../../contract/agent.ts'
import { fingerprintsBytesMax } from '../../contract/index-slices.ts'

/** Of one row, in bytes: less than any server takes in a statement. */
const rowBytes = 1024 * 1024

export type KnownVolume = { id: number; volume: string; fingerprints: Buffer }

/** @param at when the point was completed that the walk was of */
export const knownFingerprints = async (
  connection: Pick<PoolConnection, 'query'>,
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

/** Of one machine, in place of those of an earlier walk: of as many volumes as there is room for. */
export const keepFingerprints = async (
  connection: Pick<PoolConnection, 'query' | 'execute'>,
  at: number,
  volumes: ReadonlyMap<number, readonly Buffer[]>,
): Promise<void> => {
  let total = 0
  for (const [volumeId, parts] of volumes) {
    await connection.query('DELETE FROM file_fingerprints WHERE volume_id = ?', [volumeId])
    const bytes = parts.reduce((sum, part) => sum + part.length, 0)
    if (total + bytes > fingerprintsBytesMax) continue
    total += bytes
    let part = 0
    // Prepared: the bytes go as they are, and not as twice as many digits.
    for (const row of rowsOf(parts))
      await connection.execute(
        'INSERT INTO file_fingerprints (volume_id, part, point_at, fingerprints) VALUES (?, ?, ?, ?)',
        [volumeId, part++, at, row],
      )
  }
}

/** Each in the same memory: ten megabytes that nobody has touched before take a virtual machine 50 ms. */
function* rowsOf(parts: readonly Buffer[]): Generator<Buffer> {
  const row = Buffer.alloc(rowBytes)
  let filled = 0
  for (const part of parts)
    for (let from = 0; from < part.length; ) {
      const copied = part.copy(row, filled, from)
      from += copied
      filled += copied
      if (filled < rowBytes) continue
      yield row
      filled = 0
    }
  if (filled > 0) yield row.subarray(0, filled)
}
