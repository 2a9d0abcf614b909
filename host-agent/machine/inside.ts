/** What both sides of a throw-away machine call things. */

/** Name of the port that leads to the agent. */
export const readerPort = 'reader'
/** A disk by its place on the machine's one bus. */
export const diskName = (at: number) => `disk-${at}`
/** The reader says one byte on its line when it is ready, and waits for one before it speaks HTTP/2 there: until then its state can be saved. */
export const [ready, begin] = ['r', 'b']
