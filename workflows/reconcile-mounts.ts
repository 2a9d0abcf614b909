/** Rows of mounts against the agent's mounts: a row without a mount goes to the history, a mount without a row is ended. */
import { HubError } from '../contract/errors.ts'
import { endMount as endMountRow, forgetEndedMounts, listMounts, storeMountState } from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { ifMountIdle } from './locks.ts'

const rememberedMs = 7 * 24 * 3600 * 1000

export const reconcileMounts = async ({ DB, AGENT, CLOCK }: Env<'DB' | 'AGENT' | 'CLOCK'>): Promise<void> => {
  // The agent is asked first: whatever it has then had its row before.
  const { mounts, ended } = await AGENT.listMounts()
  const rows = await listMounts(DB.orm)
  for (const state of mounts) {
    if (rows.some(({ mount }) => mount.id === state.mount_id)) continue
    await ifMountIdle(DB, state.mount_id, () => AGENT.removeMount(state.mount_id, 'failed'))
  }
  for (const row of rows) {
    await ifMountIdle(DB, row.mount.id, async () => {
      const state = await AGENT.getMount(row.mount.id).catch((error: unknown) => {
        if (error instanceof HubError && error.code === 'MOUNT_NOT_FOUND') return undefined
        throw error
      })
      if (state) {
        await storeMountState(DB.orm, row.mount.id, state)
        return
      }
      const reason =
        ended.find(({ mount_id }) => mount_id === row.mount.id)?.reason ??
        (row.mount.status === 'mounted' ? 'restart' : 'failed')
      await DB.transaction((tx) => endMountRow(tx, row, reason, CLOCK.now()))
    })
  }
}

/** The history is kept 7 days, so that ids of ended mounts answer MOUNT_EXPIRED. */
export const forgetOldMounts = ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>) =>
  forgetEndedMounts(DB.orm, new Date(CLOCK.now().getTime() - rememberedMs))
