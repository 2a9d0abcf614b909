/** The node's log: JSON lines on stdout; passwords and tokens are never handed to it. */
import pino from 'pino'

export const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime })
