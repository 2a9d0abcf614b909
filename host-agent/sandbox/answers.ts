/**
 * What a reader may answer (protocol.ts). The agent believes nothing that it says without looking at it: a reader may have been taken over by what it reads. Not loaded by readers, whose start
 * a mount waits for.
 */
import { z } from 'zod'
import { fileInfo } from '../../contract/agent.ts'
import { entry, partitionKinds, partitionRoles } from '../../contract/api/restore.ts'
import { disksMax, volumesMax } from '../volumes/volume.ts'

const size = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const text = z.string().max(16_384)

const words = z.string().max(1000)
export const scanned = z
  .array(
    z.object({
      number: z.int().min(0).max(65_535),
      kind: z.enum(partitionKinds),
      name: words.nullable(),
      piece: z
        .object({
          disk: z
            .int()
            .min(0)
            .max(disksMax - 1),
          offsetBytes: size,
        })
        .nullable(),
      sizeBytes: size,
      filesystem: z.string().max(64).nullable(),
      label: text.nullable(),
      uuid: words.nullable(),
      partUuid: words.nullable(),
      partLabel: words.nullable(),
      within: z.int().nullable(),
      role: z.enum(partitionRoles),
      closed: words.nullable(),
      isLocked: z.boolean(),
    }),
  )
  .max(volumesMax)

export const opened = z.discriminatedUnion('mounted', [
  z.object({ mounted: z.literal(true), journal: z.enum(['clean', 'replayed', 'not_replayed']) }),
  z.object({
    mounted: z.literal(false),
    reason: z.string().max(1000),
    remedy: z.enum(['replay', 'new-id']).nullable(),
  }),
])

export const listed = z.object({
  partition: z.int(),
  path: text,
  entries: z.array(entry).max(10_000),
  total_count: size,
  truncated: z.boolean(),
})
export const told = fileInfo
/** What it answers when it can not: a code and a sentence, as everybody here does. */
export const refused = z.object({
  code: z.string().max(64),
  message: z.string().max(1000),
  details: z.string().max(1000),
})
