/** GET /repositories/storage-summary: capacity over all repositories. */
import { storageSummaryAnswer } from '../../contract/api/repositories.ts'
import { backupCounts, listRepositories, usedPercent } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { measureOrNull } from '../../workflows/repositories.ts'

/** Percent used from which on a repository needs a look, and from which on it is nearly full (contract section 12). */
const warningFrom = 80
const criticalFrom = 95
const healthOf = (percent: number | undefined) =>
  percent === undefined
    ? 'offline'
    : percent >= criticalFrom
      ? 'critical'
      : percent >= warningFrom
        ? 'warning'
        : 'healthy'

export default defineFunction(
  {
    summary: 'Capacity over all repositories',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    responses: { 200: storageSummaryAnswer },
  },
  async ({ env }) => {
    const rows = await listRepositories(env.DB.orm)
    const backups = await backupCounts(
      env.DB.orm,
      rows.map(({ id }) => id),
    )
    const measured = await Promise.all(
      rows.map(async (row) => ({ row, storage: await measureOrNull(env, row, backups.get(row.id) ?? 0) })),
    )
    const total = (value: 'total_bytes' | 'used_bytes' | 'available_bytes') =>
      measured.reduce((sum, { storage }) => sum + (storage?.[value] ?? 0), 0)
    return {
      success: true,
      summary: {
        total_repositories: rows.length,
        enabled_repositories: rows.filter(({ enabled }) => enabled).length,
        total_capacity_bytes: total('total_bytes'),
        total_used_bytes: total('used_bytes'),
        total_available_bytes: total('available_bytes'),
        overall_used_percentage: usedPercent(total('used_bytes'), total('total_bytes')),
        repositories: measured.map(({ row, storage }) => ({
          id: row.id,
          name: row.name,
          type: row.repositoryType,
          used_percentage: storage?.used_percent ?? 0,
          health_status: healthOf(storage?.used_percent),
        })),
      },
    }
  },
)
