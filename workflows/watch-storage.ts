/** Measures all repositories, and tells once when one runs out of room or can not be reached. */
import { listRepositories, markStorageState, type RepositoryRow } from '../db/queries/repositories.ts'
import { noteUsage } from '../db/queries/repository-usage.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { notify } from './notify.ts'
import { measureOrNull } from './repositories.ts'

type WatchEnv = Env<'DB' | 'AGENT' | 'CLOCK' | 'KEYS'>

/** Told below this share of free room; taken back above the other, so that it is not told again and again at the edge. */
const [lowPercent, enoughPercent] = [10, 12]

const watch = async (env: WatchEnv, row: RepositoryRow): Promise<void> => {
  const { DB, CLOCK } = env
  const storage = await measureOrNull(env, row, 0)
  if (storage) await noteUsage(DB.orm, row.id, storage.used_bytes, CLOCK.now())
  const freePercent = storage && (storage.available_bytes / Math.max(1, storage.total_bytes)) * 100
  const state =
    freePercent === null
      ? 'unreachable'
      : freePercent < (row.storageState === 'low' ? enoughPercent : lowPercent)
        ? 'low'
        : 'ok'
  if (state === row.storageState) return
  await DB.transaction(async (tx) => {
    // Of several hubs one tells it.
    if (!(await markStorageState(tx, row, state)) || state === 'ok') return
    const text =
      freePercent === null
        ? `The repository ${row.name} can not be reached`
        : `The repository ${row.name} has ${freePercent.toFixed(1)} % free`
    const details = storage && `${storage.available_bytes} of ${storage.total_bytes} bytes are free`
    await notify(tx, 'storage_low', text, { repository_id: row.id, details }, CLOCK.now())
  })
}

export const watchStorage = async (env: WatchEnv): Promise<void> => {
  for (const row of await listRepositories(env.DB.orm, { enabled: true })) await watch(env, row)
}
