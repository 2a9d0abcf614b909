/** The cleanup schedule: every so often, whatever the hub does, expired mounts are ended. Each mount also has its own timer. */
import { Cron } from 'croner'
import type { CleanupState } from '../contract/agent.ts'
import { log } from './log.ts'
import type { Mounts } from './mounts/mounts.ts'

/** Contract section 11. */
const intervalSeconds = 300

export class Sweep {
  readonly #mounts: Mounts
  readonly #idleSeconds: number
  readonly #cron: Cron
  #total = 0
  #last: Date | null = null
  #lastError: string | null = null

  constructor(mounts: Mounts, idleSeconds: number) {
    this.#mounts = mounts
    this.#idleSeconds = idleSeconds
    this.#cron = new Cron('*/5 * * * *', { protect: true, unref: true }, () => this.run())
  }

  async run(): Promise<void> {
    try {
      await this.#mounts.sweepExpired()
      this.#lastError = null
    } catch (error) {
      this.#lastError = String(error instanceof Error ? error.message : error)
      log.error({ error: this.#lastError }, 'the sweep failed; it runs again')
    }
    this.#total++
    this.#last = new Date()
  }

  state(): CleanupState {
    return {
      running: this.#cron.isRunning(),
      interval_seconds: intervalSeconds,
      idle_seconds: this.#idleSeconds,
      active_mount_count: this.#mounts.count,
      expired_mount_count: this.#mounts.expiredCount,
      last_cleanup: this.#last?.toISOString() ?? null,
      total_cleanups: this.#total,
      last_error: this.#lastError,
    }
  }

  stop() {
    this.#cron.stop()
  }
}
