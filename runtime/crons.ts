/** Starts the map's crons. A lease in the database keeps several hubs from doing the same round at once. */
import { Cron } from 'croner'
import type { Bindings } from './bindings/index.ts'
import type { LoadedCron } from './load.ts'
import { causes, log } from './log.ts'

export type Crons = {
  /** Runs those at once that may have work after that function. */
  answered: (functionName: string) => void
  /** Waits for what is running. */
  stop: () => Promise<void>
}

export const startCrons = (crons: readonly LoadedCron[], bindings: Bindings): Crons => {
  const running = new Set<Promise<void>>()

  const run = async (cron: LoadedCron) => {
    const env = Object.fromEntries(cron.bindings.map((name) => [name, bindings[name]])) as Bindings
    const skip = () => undefined
    const work = bindings.DB.withLock(`cron ${cron.function}`, 0, () => cron.fn.run(env), skip).catch(
      (error: unknown) =>
        log.error({ cron: cron.function, causes: causes(error) }, 'a cron failed; it runs again at its next time'),
    )
    running.add(work)
    await work
    running.delete(work)
  }

  const jobs = crons.map((cron) => new Cron(cron.pattern, { protect: true, unref: true }, () => run(cron)))
  for (const cron of crons) if (cron.atStart) void run(cron)
  let isStopped = false
  return {
    answered: (functionName) => {
      for (const cron of crons) if (!isStopped && cron.after?.includes(functionName)) void run(cron)
    },
    stop: async () => {
      isStopped = true
      for (const job of jobs) job.stop()
      await Promise.all(running)
    },
  }
}
