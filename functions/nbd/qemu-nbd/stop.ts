/** POST /nbd/qemu-nbd/stop: ends an export that the hub started. */
import { stopExportAnswer, stopExportBody } from '../../../contract/api/nbd.ts'
import { HubError } from '../../../contract/errors.ts'
import { deletePorts, deleteProcess } from '../../../db/queries/ports.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'End an export',
    needs: ['DB', 'AGENT'],
    body: stopExportBody,
    responses: { 200: stopExportAnswer },
    errors: ['PROCESS_NOT_FOUND'],
  },
  async ({ body, env: { DB, AGENT } }) => {
    const found = (await AGENT.listExports()).find(({ pid, export_name }) =>
      body.pid === undefined ? export_name === body.export_name : pid === body.pid,
    )
    if (!found || found.pid === null) throw new HubError('PROCESS_NOT_FOUND', 'The hub runs no such qemu-nbd')
    await AGENT.dropExport(found.export_name, false)
    await deleteProcess(DB.orm, found.export_name)
    await deletePorts(DB.orm, [found.port])
    return { success: true, stopped_pid: found.pid }
  },
)
