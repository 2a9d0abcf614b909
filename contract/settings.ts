/** Settings that the launcher hands to the host-agent and the source node in a file that only they can read. */
import { z } from 'zod'

const userIds = z.object({ uid: z.int().min(1), gid: z.int().min(1) })
export type UserIds = z.infer<typeof userIds>

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
