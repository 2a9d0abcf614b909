/** The bindings that the map can grant: the name a function sees, and what stands behind it. */
import type { AgentApi } from '../../contract/agent.ts'
import type { NodeApi } from '../../contract/node.ts'
import type { Database } from '../../db/database.ts'
import type { Events } from './events.ts'
import type { Keys } from './keys.ts'
import type { Logins } from './logins.ts'
import type { Notifier } from './notifier.ts'
import type { RuntimeInfo } from './runtime-info.ts'

/** Settings that functions and workflows read; the environment behind them is read in wrangler-style.config.ts alone. */
export type HubSettings = {
  version: string
  /** The hub as the node sees it. */
  hubUrl: string
  restoreSlots: number
  mountIdleSeconds: number
  stallSeconds: number
  stallFailSeconds: number
  /** Restore points that a chain may have. */
  chainLimit: number
  nbdPorts: { first: number; last: number }
  /** Whether callbacks from loopback may come without a token (contract section 26.2). */
  tokenlessCallbacks: boolean
  /** Where SFTP is served; null: nowhere. */
  sftp: { port: number; host_key: string } | null
}
export type Clock = { now: () => Date }

export type Bindings = {
  DB: Database
  AGENT: AgentApi
  NODE: NodeApi
  KEYS: Keys
  LOGINS: Logins
  CLOCK: Clock
  SETTINGS: HubSettings
  EVENTS: Events
  NOTIFIER: Notifier
  RUNTIME: RuntimeInfo
}
export type BindingName = keyof Bindings
export type Env<N extends BindingName = BindingName> = Pick<Bindings, N>
