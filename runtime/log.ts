/** The hub's log: JSON lines on stdout, secrets never in them. */
import pino from 'pino'

export const log = pino(
  {
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['password', '*.password', 'token', '*.token', 'authorization', '*.authorization'],
      censor: '[hidden]',
    },
  },
  // A line a request: waiting for each took a tenth of a busy hub's time.
  pino.destination({ dest: 1, sync: false }),
)

/** The whole chain of causes, for the log alone. */
export const causes = (error: unknown): string[] => {
  const found: string[] = []
  for (let at = error; at !== undefined && at !== null && found.length < 10; at = (at as { cause?: unknown }).cause)
    found.push(at instanceof Error ? (at.stack ?? at.message) : String(at))
  return found
}
