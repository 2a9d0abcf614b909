/** Cron: tells the host-agent of all repositories. By itself, since a storage that hangs takes its time to say nothing. */
import { defineCron } from '../../runtime/function.ts'
import { announceRepositories } from '../../workflows/repositories.ts'

export default defineCron({ summary: 'Announce repositories', needs: ['DB', 'AGENT', 'KEYS'] }, announceRepositories)
