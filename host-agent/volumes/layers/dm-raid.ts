/** Which parts of an LVM RAID are up to date (drivers/md/dm-raid.c: struct dm_raid_superblock). */
import type { Blocks } from './blocks.ts'

const magic = 0x64526d44
const bytes = 4096

type Superblock = { position: number; events: bigint; failed: bigint; recoveryOffset: bigint }

const read = async (blocks: Blocks | undefined): Promise<Superblock | undefined> => {
  if (!blocks || blocks.sizeBytes < bytes) return undefined
  const data = await blocks.read(0, bytes)
  if (data.readUInt32LE(0) !== magic) return undefined
  return {
    position: data.readUInt32LE(12),
    events: data.readBigUInt64LE(16),
    failed: data.readBigUInt64LE(24),
    recoveryOffset: data.readBigUInt64LE(32),
  }
}
const allOnes = 0xffff_ffff_ffff_ffffn

/**
 * @param metadata of each part, in their order
 * @returns for each whether its data may be read: it has not failed, is not being rebuilt, and saw the last events. All, where none says anything yet
 */
export const isInSync = async (metadata: readonly (Blocks | undefined)[]): Promise<boolean[]> => {
  const said = await Promise.all(metadata.map((blocks) => read(blocks).catch(() => undefined)))
  const newest = said.reduce<Superblock | undefined>(
    (best, one) => (one && (!best || one.events > best.events) ? one : best),
    undefined,
  )
  if (!newest) return metadata.map(() => true)
  return said.map(
    (one, at) =>
      one !== undefined &&
      one.position === at &&
      one.events === newest.events &&
      (newest.failed & (1n << BigInt(at))) === 0n &&
      one.recoveryOffset === allOnes,
  )
}
