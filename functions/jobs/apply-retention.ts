/** Cron: deletes chains that their policy no longer wants. */
import { contextIds } from '../../db/queries/backup-contexts.ts'
import { defineCron } from '../../runtime/function.ts'
import { applyToAll } from '../../workflows/apply-retention.ts'

export default defineCron({ summary: 'Apply retention', needs: ['DB', 'AGENT', 'CLOCK'] }, async (env) => {
  await applyToAll(env, await contextIds(env.DB.orm))
})
