/** Cron: measures all repositories, and has people told when one runs out of room. */
import { defineCron } from '../../runtime/function.ts'
import { watchStorage } from '../../workflows/watch-storage.ts'

export default defineCron(
  { summary: 'Watch the room in repositories', needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'] },
  watchStorage,
)
