/** Settings that the launcher hands to the host-agent and the source node in a file that only they can read. */
import { z } from 'zod'

const userIds = z.object({ uid: z.int().min(1), gid: z.int().min(1) })
export type UserIds = z.infer<typeof userIds>

/** What the host itself can mount: by its kernel, as far as that knows them; NTFS by ntfs-3g as root. */
export const hostFilesystems = [
  'ext2',
  'ext3',
  'ext4',
  'xfs',
  'btrfs',
  'ntfs',
  'vfat',
  'exfat',
  'iso9660',
  'udf',
] as const
export type HostFilesystem = (typeof hostFilesystems)[number]

export const agentSettings = z.object({
  socketPath: z.string(),
  /** The group that may connect; null = root alone. */
  socketGid: z.int().nullable(),
  /** First of 65 536 users that nobody else is: each NBD port is served by one of its own, who can open the files of its export and nothing else. */
  exportUsers: userIds,
  stateDir: z.string(),
  restoreRoot: z.string(),
  nbdPorts: z.object({ first: z.int(), last: z.int() }),
  restoreSlots: z.int().min(1).max(256),
  mountIdleSeconds: z.int().min(1),
  attachBackend: z.enum(['auto', 'kernel-nbd', 'userspace']),
  /** First of 65 536 users that nobody else is: the guests' users, as the processes see them that read a mount. */
  readerUsers: userIds,
  /** Filesystems of guests that the host itself mounts. `auto`: what no safer reader reads on this host. */
  hostMounts: z.union([z.literal('auto'), z.array(z.enum(hostFilesystems))]),
  /** Those that a throw-away machine mounts. `auto`: what has no driver in a sandbox. */
  machineMounts: z.union([z.literal('auto'), z.array(z.enum(hostFilesystems))]),
  /** Folder that throw-away machines are started from. */
  machineImage: z.string(),
  /** A reader of a mount that has not answered for so long is ended, and the mount with it. */
  readerSeconds: z.int().min(1),
  /** The hub's own settings, as the doctor reads them; null: this agent has no doctor. */
  doctor: z.record(z.string(), z.string()).nullable(),
  version: z.string(),
})
export type AgentSettings = z.infer<typeof agentSettings>

export const nodeSettings = z.object({
  host: z.string(),
  port: z.int(),
  stateDir: z.string(),
  /** JSON file that names the sources; see docs/operations.md. */
  sourcesFile: z.string(),
  version: z.string(),
})
export type NodeSettings = z.infer<typeof nodeSettings>
