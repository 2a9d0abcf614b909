/** Cron: queues the copies that scheduled rules ask for, and those that immediate rules have not got. */
import { defineCron } from '../../runtime/function.ts'
import { queueMissingCopies } from '../../workflows/copy-backups.ts'

export default defineCron({ summary: 'Queue scheduled copies', needs: ['DB', 'CLOCK'] }, queueMissingCopies)
