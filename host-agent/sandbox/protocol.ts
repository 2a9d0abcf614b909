/**
 * What the agent asks the reader of a sandbox or of a throw-away machine, over HTTP (reader-transport.ts). The reader takes the agent at its word, and the agent
 * looks at each of its answers (answers.ts).
 */
import type { ArchiveFormat } from '../../contract/api/restore.ts'

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

export type ScanRequest = {
  /** Of each disk, in their order. */
  sizesBytes: number[]
  /** What may open encrypted volumes, as base64. */
  secrets: string[]
}
export type PrepareRequest = { files: string[] }
/** Name of a socket in the folder that both see. */
export type ShareRequest = { socket: string }
export type OpenRequest = {
  volume: number
  filesystem: string
  image: string
  step: 'plain' | 'replay' | 'without-journal'
}
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
/** Of the walk that came to its end last. */
export type FingerprintsRequest = { volume: number }
export type DigestRequest = { volume: number; paths_b64: string[] }
