/** The node's API (contract section 24), as far as backups need it. */
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { str } from '../contract/api/common.ts'
import { errorBody, HubError } from '../contract/errors.ts'
import { discoverRequest, startRequest } from '../contract/node.ts'
import type { JobState } from './backup-job.ts'
import { parseTargets } from './backup-job.ts'
import type { Jobs } from './jobs.ts'
import { log } from './log.ts'
import { openSource, type SourceContext } from './sources/open.ts'

const stopRequest = z.object({ reason: str().optional() })
const megabyte = 1024 * 1024

const read = async <S extends z.ZodType>(request: Request, schema: S): Promise<z.output<S>> => {
  const text = await request.text()
  let value: unknown
  try {
    value = text === '' ? {} : JSON.parse(text)
  } catch (cause) {
    throw new HubError('INVALID_JSON', 'The request body is not valid JSON', { cause })
  }
  const result = schema.safeParse(value)
  if (!result.success)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      details: z.prettifyError(result.error).slice(0, 500),
    })
  return result.data
}

const totals = ({ disks }: JobState) => ({
  done: disks.reduce((sum, disk) => sum + disk.done, 0),
  total: disks.reduce((sum, disk) => sum + disk.total, 0),
})
const percent = (state: JobState) => {
  const { done, total } = totals(state)
  return state.status === 'completed' ? 100 : total > 0 ? Math.round((done / total) * 10_000) / 100 : 0
}

const progressOf = (state: JobState) => {
  const { done, total } = totals(state)
  const elapsed = Math.max(1, state.updatedAt.getTime() - state.startedAt.getTime())
  const mbps = (bytes: number) => Math.round((bytes / megabyte) * 100) / 100
  const started = state.startedAt.toISOString()
  return {
    job_id: state.request.job_id,
    status: state.status,
    sync_type: state.request.backup_type === 'full' ? 'initial' : 'incremental',
    phase: state.phase,
    percentage: percent(state),
    current_operation: state.phase,
    bytes_transferred: done,
    total_bytes: total,
    throughput: {
      current_mbps: mbps(state.speed),
      average_mbps: mbps((done / elapsed) * 1000),
      peak_mbps: mbps(state.peak),
      last_update: state.updatedAt.toISOString(),
    },
    timing: {
      start_time: started,
      last_update: state.updatedAt.toISOString(),
      elapsed_ms: elapsed,
      eta_seconds: state.speed > 0 ? Math.ceil((total - done) / state.speed) : 0,
      phase_start: started,
      phase_elapsed_ms: elapsed,
    },
    vm_info: {
      name: state.request.vm_name,
      path: state.request.vm_path,
      disk_size_gb: Math.round((total / 2 ** 30) * 1000) / 1000,
      disk_size_bytes: total,
      cbt_enabled: true,
    },
    phases: [{ name: state.phase, status: state.status, start_time: started, end_time: null, duration_ms: elapsed }],
    errors: state.error === null ? [] : [state.error],
    last_error: state.error,
    disk_progresses: state.disks.map((disk) => ({
      disk_id: String(disk.index),
      label: `Disk ${disk.index}`,
      bytes_transferred: disk.done,
      total_bytes: disk.total,
      percent: disk.total > 0 ? Math.round((disk.done / disk.total) * 10_000) / 100 : 0,
      throughput_mbps:
        disk.startedAt > 0 ? mbps((disk.done / Math.max(1, performance.now() - disk.startedAt)) * 1000) : 0,
      status: disk.status,
    })),
  }
}

export const createNodeApp = (jobs: Jobs, context: SourceContext) => {
  const app = new Hono().basePath('/api/v1')
  app.use(bodyLimit({ maxSize: megabyte }))

  app.get('/health', (c) =>
    c.json({ status: 'healthy', timestamp: new Date().toISOString(), uptime: `${Math.floor(process.uptime())}s` }),
  )

  app.post('/discover', async (c) => {
    const { vcenter, datacenter, filter } = await read(c.req.raw, discoverRequest)
    const vms = await (await openSource(context, vcenter)).discover(filter)
    return c.json({ vcenter: { host: vcenter, datacenter }, vms })
  })

  app.post('/backup/start', async (c) => {
    const request = await read(c.req.raw, startRequest)
    try {
      parseTargets(request.nbd_targets)
    } catch (cause) {
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', { details: (cause as Error).message, cause })
    }
    const { state } = await jobs.start(request)
    return c.json({
      job_id: request.job_id,
      status: 'started',
      message: 'backup started',
      started_at: state.startedAt.toISOString(),
      pid: process.pid,
    })
  })

  app.post('/backup/:job_id/stop', async (c) => {
    const { reason } = await read(c.req.raw, stopRequest)
    const job = jobs.get(c.req.param('job_id'))
    await job.stop(reason ?? 'stopped by the hub')
    return c.json({ job_id: job.state.request.job_id, status: job.state.status, message: 'the job has ended' })
  })

  app.get('/status/:job_id', (c) => {
    const { state } = jobs.get(c.req.param('job_id'))
    return c.json({
      job_id: state.request.job_id,
      status: state.status,
      progress_percent: percent(state),
      current_operation: state.phase,
      start_time: state.startedAt.toISOString(),
      last_update: state.updatedAt.toISOString(),
      vm_path: state.request.vm_path,
    })
  })
  app.get('/progress/:job_id', (c) => c.json(progressOf(jobs.get(c.req.param('job_id')).state)))

  app.notFound((c) => c.json(errorBody(new HubError('ROUTE_NOT_FOUND', 'There is no such route'), '', new Date()), 404))
  app.onError((error, c) => {
    const known =
      error instanceof HubError
        ? error
        : new HubError('INTERNAL', 'The source node made an error', {
            details: error.message.slice(0, 300),
            cause: error,
          })
    if (known.status >= 500) log.error({ path: c.req.path, error: String(error) }, known.message)
    return c.json(errorBody(known, '', new Date()), known.status)
  })
  return app
}
