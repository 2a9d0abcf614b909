/** Cron: has every restore point checked about once a month, one after the other. */
import { defineCron } from '../../runtime/function.ts'
import { scrub } from '../../workflows/verify-backups.ts'

export default defineCron({ summary: 'Scrub backups', needs: ['DB', 'CLOCK'] }, (env) => scrub(env))
