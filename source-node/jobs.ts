/** The jobs of this node. One that a restart cut off is reported as failed to its hub, so that nobody waits for it. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../contract/errors.ts'
import type { StartRequest } from '../contract/node.ts'
import { BackupJob } from './backup-job.ts'
import { Callbacks } from './callbacks.ts'
import { log } from './log.ts'
import type { SourceContext } from './sources/open.ts'

/** Ended jobs whose state can still be asked for. */
const endedMax = 200

type CutOff = Pick<StartRequest, 'job_id' | 'hub_url' | 'callback_token'>

/** A power cut may leave half a file; the hub then notices by itself that nobody reports. */
const readCutOff = async (path: string): Promise<CutOff | undefined> => {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as CutOff
  } catch (error) {
    log.warn({ path, error: String(error) }, 'the record of a job can not be read and is removed')
    await rm(path, { force: true })
    return undefined
  }
}

export class Jobs {
  readonly #jobs = new Map<string, BackupJob>()
  readonly #context: SourceContext
  readonly #folder: string
  constructor(context: SourceContext) {
    this.#context = context
    this.#folder = join(context.stateDir, 'jobs')
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const cutOff = await readCutOff(path)
      if (!cutOff) continue
      void new Callbacks(cutOff, AbortSignal.timeout(600_000))
        .call('POST', `/telemetry/backup/${encodeURIComponent(cutOff.job_id)}`, {
          status: 'failed',
          error: 'the source node was restarted',
        })
        .catch((error: unknown) =>
          log.warn({ job: cutOff.job_id, error: String(error) }, 'a job that was cut off could not be reported'),
        )
        .finally(() => rm(path, { force: true }))
    }
  }

  /** @throws JOB_RUNNING */
  async start(request: StartRequest): Promise<BackupJob> {
    if (this.#jobs.get(request.job_id)?.state.status === 'running')
      throw new HubError('JOB_RUNNING', 'This job is running already')
    const job = new BackupJob(request, this.#context)
    this.#jobs.set(request.job_id, job)
    const path = join(this.#folder, `${Buffer.from(request.job_id).toString('hex').slice(0, 200)}.json`)
    const { job_id, hub_url, callback_token } = request
    await writeFile(path, JSON.stringify({ job_id, hub_url, callback_token }), { mode: 0o600 })
    void job.done.finally(() => rm(path, { force: true }))
    this.#forgetOld()
    return job
  }

  /** @throws JOB_NOT_FOUND */
  get(jobId: string): BackupJob {
    const job = this.#jobs.get(jobId)
    if (!job) throw new HubError('JOB_NOT_FOUND', 'There is no such job')
    return job
  }

  async close(): Promise<void> {
    const running = [...this.#jobs.values()].filter(({ state }) => state.status === 'running')
    await Promise.all(
      running.map(async (job) => {
        await job.stop('the source node is stopping')
        const { request } = job.state
        await new Callbacks(request, AbortSignal.timeout(3_000))
          .tryOnce(`/telemetry/backup/${encodeURIComponent(request.job_id)}`, {
            status: 'failed',
            error: 'the source node was stopped',
          })
          .catch(() => undefined)
      }),
    )
  }

  #forgetOld() {
    const ended = [...this.#jobs].filter(([, { state }]) => state.status !== 'running')
    for (const [id] of ended.slice(0, Math.max(0, ended.length - endedMax))) this.#jobs.delete(id)
  }
}
