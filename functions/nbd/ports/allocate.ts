/** POST /nbd/ports/allocate: reserves NBD ports for a job. */
import { allocatePortsAnswer, allocatePortsBody } from '../../../contract/api/nbd.ts'
import { HubError } from '../../../contract/errors.ts'
import { diskKey, exportNamePattern } from '../../../contract/names.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { allocatePorts } from '../../../workflows/nbd-ports.ts'

export default defineFunction(
  {
    summary: 'Reserve NBD ports',
    needs: ['DB', 'CLOCK', 'SETTINGS'],
    body: allocatePortsBody,
    responses: { 200: allocatePortsAnswer },
    errors: ['NBD_PORTS_EXHAUSTED', 'EXPORT_IN_USE'],
  },
  async ({ body, env: { DB, CLOCK, SETTINGS } }) => {
    const names =
      body.disk_count === 1
        ? [body.export_name]
        : Array.from({ length: body.disk_count }, (_, index) => `${body.export_name}-disk-${diskKey(index)}`)
    if (names.some((name) => !exportNamePattern.test(name)))
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [{ field: 'export_name', message: 'is too long for several disks', code: 'LENGTH' }],
      })
    const ports = await allocatePorts(DB, {
      jobId: body.job_id,
      vmName: null,
      exportNames: names,
      range: SETTINGS.nbdPorts,
      now: CLOCK.now(),
    })
    const ordered = names.map((name) => ports.find(({ exportName }) => exportName === name)!)
    return {
      job_id: body.job_id,
      allocated_ports: ordered.map(({ port, exportName }) => ({ port, export_name: exportName })),
      expires_at: ordered[0]!.expiresAt.toISOString(),
    }
  },
)
