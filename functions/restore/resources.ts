/** GET /restore/resources: how many mounts there are and may be. */
import { resourcesAnswer } from '../../contract/api/restore.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Restore slots', needs: ['AGENT'], responses: { 200: resourcesAnswer } },
  async ({ env: { AGENT } }) => {
    const [{ max_mounts }, { mounts }] = await Promise.all([AGENT.health(), AGENT.listMounts()])
    const available = Math.max(0, max_mounts - mounts.length)
    const percent = Math.round((mounts.length / max_mounts) * 1000) / 10
    return {
      active_mounts: mounts.length,
      max_mounts,
      available_slots: available,
      allocated_devices: mounts.flatMap(({ device }) => device ?? []),
      available_devices: available,
      device_utilization: `${percent.toFixed(1)}%`,
      device_utilization_percent: percent,
    }
  },
)
