import type { Caller } from '../runtime/function.ts'

/** Who did it, for the rows that say so: as the request names them, else the caller. */
export const nameOfCaller = (caller: Caller, given?: string | null): string | null =>
  given ?? (caller.kind === 'user' ? caller.username : null)
