/** Cron: makes files in immutable repositories immutable. */
import { defineCron } from '../../runtime/function.ts'
import { lockFiles } from '../../workflows/lock-files.ts'

export default defineCron({ summary: 'Lock files', needs: ['DB', 'AGENT', 'CLOCK'] }, lockFiles)
