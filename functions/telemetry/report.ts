/** POST /telemetry/{job_type}/{job_id}: a running job reports its progress. */
import { telemetryAnswer, telemetryBody, telemetryParams } from '../../contract/api/telemetry.ts'
import { type FieldError, HubError } from '../../contract/errors.ts'
import { defineFunction } from '../../runtime/function.ts'
import { applyTelemetry, telemetryTarget } from '../../workflows/apply-telemetry.ts'
import { checkJobToken } from '../../workflows/check-job-token.ts'

export default defineFunction(
  {
    summary: 'Report the progress of a job',
    needs: ['DB', 'AGENT', 'NODE', 'CLOCK'],
    params: telemetryParams,
    body: telemetryBody,
    responses: { 200: telemetryAnswer },
    errors: ['JOB_NOT_FOUND', 'JOB_ENDED'],
  },
  async ({ params, body, env, caller }) => {
    const fields: FieldError[] = (['job_id', 'job_type'] as const)
      .filter((field) => body[field] !== undefined && body[field] !== params[field])
      .map((field) => ({ field, message: 'differs from the path', code: 'FORBIDDEN' }))
    if (fields.length > 0) throw new HubError('VALIDATION_FAILED', 'The request is not valid', { fields })
    // Replications have no jobs yet, and restores report nothing.
    if (params.job_type !== 'backup') throw new HubError('JOB_NOT_FOUND', `There is no such ${params.job_type} job`)
    const target = await telemetryTarget(env.DB.orm, params.job_id)
    await checkJobToken(env, caller, target.jobId, target.known?.job)
    const { applied, status } = await applyTelemetry(env, target, body)
    return {
      status: 'success',
      message: applied ? 'telemetry stored' : 'older than what is known; taken as a sign of life',
      timestamp: env.CLOCK.now().toISOString(),
      applied,
      job_status: status,
    }
  },
)
