/** POST /nbd/ports/release: gives ports back. */
import { releasePortsAnswer, releasePortsBody } from '../../../contract/api/nbd.ts'
import { HubError } from '../../../contract/errors.ts'
import { deletePorts, findPorts, portsOfJob } from '../../../db/queries/ports.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Release NBD ports',
    needs: ['DB', 'AGENT'],
    body: releasePortsBody,
    responses: { 200: releasePortsAnswer },
    errors: ['PORT_NOT_OWNED', 'PORT_IN_USE'],
  },
  async ({ body, env: { DB, AGENT } }) => {
    const held = body.ports ? await findPorts(DB.orm, body.ports) : await portsOfJob(DB.orm, body.job_id)
    const foreign = held.find(({ jobId }) => jobId !== body.job_id)
    if (foreign) throw new HubError('PORT_NOT_OWNED', `Port ${foreign.port} belongs to another job`)
    const running = new Set((await AGENT.listExports()).filter(({ pid }) => pid !== null).map(({ port }) => port))
    const busy = held.find(({ port }) => running.has(port))
    if (busy) throw new HubError('PORT_IN_USE', `A qemu-nbd runs on port ${busy.port}`, { details: 'stop it first' })
    await deletePorts(
      DB.orm,
      held.map(({ port }) => port),
    )
    return { success: true, released_count: held.length }
  },
)
