/** How the disk of a chain becomes a block device of this host: one interface, two ways. Everything above the device is shared. */

/** What the ledger needs to undo an attach after a crash; written before each part is made. */
export type AttachRecord = {
  backend: 'kernel-nbd' | 'userspace'
  /** Folder of this mount under the agent's state: export file, pid file, overlay. */
  runDir: string
  pid: number | null
  startTicks: string | null
  device: string | null
}

/**
 * `none`: the chain, read-only. `replay`: through a new throw-away overlay, writable, so that a dirty journal can be replayed.
 * `replayed`: through that overlay, read-only. The chain is never written.
 */
export type OverlayUse = 'none' | 'replay' | 'replayed'

/** What is attached: the disk of a chain, a piece of it, or what somebody else puts together and gives over NBD. */
export type AttachSource = { sizeBytes: number } & (
  | {
      /** Absolute paths, newest first. */
      chain: readonly string[]
      /** Where it begins on the disk. */
      offsetBytes: number
      /** Whether it is less than all of it. */
      isPiece: boolean
    }
  | { socket: string; exportName: string }
)

export type AttachRequest = {
  /** There already, and the caller's to remove. */
  runDir: string
  source: AttachSource
  overlay: OverlayUse
}

export type Attached = {
  /** A path that reads as the disk does. */
  image: string
  /** Makes the block device, once; whoever can do with the image starts that first. */
  device: () => Promise<string>
  /** Frees device and process. Idempotent. */
  detach: () => Promise<void>
}

export interface AttachBackend {
  readonly name: AttachRecord['backend']
  /** @param record called whenever there is more to undo, before it matters */
  attach(request: AttachRequest, record: (record: AttachRecord) => Promise<void>): Promise<Attached>
  /** Undoes what a record names, made by an agent that is gone. Touches nothing else. */
  undo(record: AttachRecord): Promise<void>
}
