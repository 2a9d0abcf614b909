/**
 * What the agent asks the reader of a sandbox or of a throw-away machine, over HTTP (reader-transport.ts). The reader takes the agent at its word; the agent believes
 * nothing that the reader says without looking at it, for a reader may have been taken over by what it reads.
 */
import { z } from 'zod'
import { fileInfo } from '../../contract/agent.ts'
import { type ArchiveFormat, entry, partitionKinds, partitionRoles } from '../../contract/api/restore.ts'
import { disksMax, volumesMax } from '../volumes/volume.ts'

/** Where a sandbox has what. */
export const inside = {
  /** Folder that the agent sees, too. */
  shared: '/run/agent',
  socket: 'reader.sock',
  /** Its own memory: the images as QEMU shows them, and what is mounted of them. */
  guest: '/guest',
  disk: (at: number) => `/guest/disk-${at}.raw`,
  /** Where the reader gives volumes that it puts together, by their export names. */
  blocks: 'blocks.sock',
  exportName: (volume: number) => `volume-${volume}`,
  image: (volume: number) => `/guest/volume-${volume}.raw`,
  writableImage: (volume: number) => `/guest/volume-${volume}.rw.raw`,
  root: (volume: number) => `/guest/volume-${volume}`,
} as const

/** Trailer that a reader sends after all of a content. */
export const wholeTrailer = 'x-whole'
/** What a reader says on its standard output, a line each, in this order. */
export const readerLines = { started: 'started', listening: 'listening' } as const
/** What it waits for in between: its users are there. */
export const usersAreThere = 'users\n'

const size = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const text = z.string().max(16_384)

export type ScanRequest = {
  /** Of each disk, in their order. */
  sizesBytes: number[]
  /** What may open encrypted volumes, as base64. */
  secrets: string[]
}
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

export type PrepareRequest = { files: string[] }
/** Name of a socket in the folder that both see. */
export type ShareRequest = { socket: string }
export type OpenRequest = {
  volume: number
  filesystem: string
  image: string
  step: 'plain' | 'replay' | 'without-journal'
}
export const opened = z.discriminatedUnion('mounted', [
  z.object({ mounted: z.literal(true), journal: z.enum(['clean', 'replayed', 'not_replayed']) }),
  z.object({
    mounted: z.literal(false),
    reason: z.string().max(1000),
    remedy: z.enum(['replay', 'new-id']).nullable(),
  }),
])

/** Of one file or folder of a volume. */
export type PathRequest = { volume: number; path_b64: string }
export type ListRequest = PathRequest & { recursive: boolean; limit: number; offset: number }
export type ReadRequest = PathRequest & { start: number; length: number }
export type ArchiveRequest = PathRequest & {
  format: ArchiveFormat | 'tar'
  checksums: boolean
  only_b64: string[] | undefined
  without_b64: string[]
  prefix_b64: string
}

/** With so many bytes of fingerprints behind it (json-and-bytes.ts). */
export type IndexRequest = { volume: number; known_bytes: number }
export type DigestRequest = { volume: number; paths_b64: string[] }

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
