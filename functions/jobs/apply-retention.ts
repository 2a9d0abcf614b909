/** Cron: deletes chains that their policy no longer wants. */
import { contextIds } from '../../db/queries/backup-contexts.ts'
import { defineCron } from '../../runtime/function.ts'
import { applyRetention } from '../../workflows/apply-retention.ts'

export default defineCron({ summary: 'Apply retention', needs: ['DB', 'AGENT', 'CLOCK'] }, async (env) => {
  for (const id of await contextIds(env.DB.orm)) await applyRetention(env, id)
})
