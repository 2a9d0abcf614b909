/** POST /nbd/qemu-nbd/start: exports a QCOW2 file of a repository on an allocated port. */
import { startExportAnswer, startExportBody } from '../../../contract/api/nbd.ts'
import { HubError } from '../../../contract/errors.ts'
import { findPorts, insertProcess } from '../../../db/queries/ports.ts'
import { listRepositories, repositoryPath } from '../../../db/queries/repositories.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Export a QCOW2 file',
    needs: ['DB', 'AGENT', 'CLOCK', 'SETTINGS'],
    body: startExportBody,
    responses: { 200: startExportAnswer },
    errors: ['PATH_INVALID', 'PORT_NOT_ALLOCATED', 'PORT_IN_USE', 'EXPORT_IN_USE', 'CHAIN_BROKEN'],
  },
  async ({ body, env: { DB, AGENT, CLOCK, SETTINGS } }) => {
    if (body.port < SETTINGS.nbdPorts.first || body.port > SETTINGS.nbdPorts.last)
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [
          {
            field: 'port',
            message: `must be from ${SETTINGS.nbdPorts.first} to ${SETTINGS.nbdPorts.last}`,
            code: 'RANGE',
          },
        ],
      })
    const invalid = () => new HubError('PATH_INVALID', 'The path is not a file inside a repository')
    if (!body.qcow2_path.startsWith('/') || body.qcow2_path.includes('\0')) throw invalid()
    // The agent is told which repository and what below it; it checks the real path itself.
    const repository = (await listRepositories(DB.orm)).find((row) =>
      body.qcow2_path.startsWith(`${repositoryPath(row)}/`),
    )
    if (!repository) throw invalid()
    const [lease] = await findPorts(DB.orm, [body.port])
    if (!lease)
      throw new HubError('PORT_NOT_ALLOCATED', `Port ${body.port} is not allocated`, { details: 'allocate it first' })
    const exports = await AGENT.listExports()
    if (exports.some(({ port }) => port === body.port))
      throw new HubError('PORT_IN_USE', `A qemu-nbd runs on port ${body.port}`)
    const state = await AGENT.ensureExport(body.export_name, {
      kind: 'existing',
      job_id: lease.jobId,
      port: body.port,
      repository_id: repository.id,
      relative_path: body.qcow2_path.slice(repositoryPath(repository).length + 1),
      read_only: body.read_only,
      shared_connections: body.shared_connections,
    })
    await insertProcess(DB.orm, state, lease.jobId, null, CLOCK.now())
    return { pid: state.pid, port: state.port, export_name: state.export_name, status: 'running' }
  },
)
