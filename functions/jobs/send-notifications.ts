/** Cron: sends messages to those who want to know. */
import { defineCron } from '../../runtime/function.ts'
import { sendDue } from '../../workflows/notify.ts'

export default defineCron({ summary: 'Send notifications', needs: ['DB', 'KEYS', 'CLOCK', 'NOTIFIER'] }, sendDue)
