/** Cron: brings jobs, exports, ports and mounts in line with what is really there. */
import { defineCron } from '../../runtime/function.ts'
import { reconcileJobs } from '../../workflows/reconcile-jobs.ts'
import { forgetOldMounts, reconcileMounts } from '../../workflows/reconcile-mounts.ts'

export default defineCron(
  { summary: 'Reconcile jobs and mounts', needs: ['DB', 'AGENT', 'NODE', 'CLOCK'] },
  async (env) => {
    await reconcileJobs(env)
    await reconcileMounts(env)
    await forgetOldMounts(env)
  },
)
