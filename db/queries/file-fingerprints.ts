/** Fingerprints that a volume's newest walk told (contract/agent.ts): what the next walk is given, so that it tells only what is new. Nobody here knows what they mean. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { fingerprintsBytesMax } from '../../contract/index-slices.ts'

/** Of one row, in bytes: less than any server takes in a statement. */
const rowBytes = 1024 * 1024

export type KnownVolume = { volume: string; fingerprints: Buffer }

/** @param at when the point was completed that the walk was of */
export const knownFingerprints = async (
  connection: Pick<PoolConnection, 'query'>,
  contextId: string,
  at: number,
): Promise<KnownVolume[]> => {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT o.volume, p.fingerprints FROM file_volumes o JOIN file_fingerprints p ON p.volume_id = o.id
     WHERE o.vm_backup_context_id = ? AND p.point_at = ? ORDER BY o.id, p.part`,
    [contextId, at],
  )
  const volumes = new Map<string, Buffer[]>()
  for (const { volume, fingerprints } of rows) volumes.set(volume, [...(volumes.get(volume) ?? []), fingerprints])
  return [...volumes].map(([volume, parts]) => ({ volume, fingerprints: Buffer.concat(parts) }))
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
    const all = Buffer.concat(parts)
    for (let from = 0; from < all.length; from += rowBytes)
      // Prepared: the bytes go as they are, and not as twice as many digits.
      await connection.execute(
        'INSERT INTO file_fingerprints (volume_id, part, point_at, fingerprints) VALUES (?, ?, ?, ?)',
        [volumeId, from / rowBytes, at, all.subarray(from, from + rowBytes)],
      )
  }
}
