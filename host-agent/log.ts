/** The agent's log: JSON lines on stdout. */
import pino from 'pino'

export const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime })
