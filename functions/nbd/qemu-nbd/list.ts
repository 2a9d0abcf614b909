/** GET /nbd/qemu-nbd/list: the running exports. */
import { z } from 'zod'
import { page, pagingQuery } from '../../../contract/api/common.ts'
import { listExportsAnswer } from '../../../contract/api/nbd.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'The running exports',
    needs: ['AGENT'],
    query: z.object(pagingQuery()),
    responses: { 200: listExportsAnswer },
  },
  async ({ query, env: { AGENT } }) => {
    const running = (await AGENT.listExports()).filter(({ pid }) => pid !== null).sort((a, b) => a.port - b.port)
    const { shown, ...counted } = page(running, query)
    const processes = shown.map((state) => ({
      pid: state.pid,
      port: state.port,
      export_name: state.export_name,
      qcow2_path: state.path,
      uptime_seconds: state.uptime_seconds,
      connection_count: state.connection_count,
      shared_limit: state.shared_limit,
      read_only: state.read_only,
      job_id: state.job_id,
    }))
    return { processes, ...counted }
  },
)
