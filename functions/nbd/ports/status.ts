/** GET /nbd/ports/status: who holds which NBD port. */
import { portsStatusAnswer } from '../../../contract/api/nbd.ts'
import { deleteExpiredPorts, listPorts } from '../../../db/queries/ports.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  { summary: 'Who holds which NBD port', needs: ['DB', 'CLOCK', 'SETTINGS'], responses: { 200: portsStatusAnswer } },
  async ({ env: { DB, CLOCK, SETTINGS } }) => {
    await deleteExpiredPorts(DB.orm, CLOCK.now())
    const rows = await listPorts(DB.orm)
    const total = SETTINGS.nbdPorts.last - SETTINGS.nbdPorts.first + 1
    return {
      total_ports: total,
      allocated: rows.length,
      available: total - rows.length,
      allocations: rows.map((row) => ({
        port: row.port,
        job_id: row.jobId,
        export_name: row.exportName,
        allocated_at: row.allocatedAt.toISOString(),
        expires_at: row.expiresAt.toISOString(),
      })),
    }
  },
)
