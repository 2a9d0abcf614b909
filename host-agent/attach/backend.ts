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

export type AttachRequest = {
  runDir: string
  /** Absolute paths of the chain, newest first. */
  chain: readonly string[]
  virtualSize: number
  /** Attach writable through a throw-away overlay, so that a dirty journal can be replayed; the chain is never written. */
  overlay: boolean
}

export type Attached = {
  device: string
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
