/** What both sides of a throw-away machine call things. */

/** Name of the port that leads to the agent. */
export const readerPort = 'reader'
/** A disk by its place on the machine's one bus. */
export const diskName = (at: number) => `disk-${at}`
