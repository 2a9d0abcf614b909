/** Clients that ask for a download and then take nothing of it. */
import type { ServerResponse } from 'node:http'

const looksPerLimit = 5

/**
 * Cuts the connection when the client takes nothing of what waits for it, `limitMs` to 1.2 times that long. Not by the socket's own
 * timeout: that would also cut a patient client of a slow source.
 */
export const cutWhenStalled = (outgoing: ServerResponse, limitMs: number): void => {
  const { socket } = outgoing
  let taken = -1
  let stalledLooks = 0
  const timer = setInterval(() => {
    const now = socket?.bytesWritten ?? 0
    stalledLooks = outgoing.writableNeedDrain && now === taken ? stalledLooks + 1 : 0
    taken = now
    if (stalledLooks >= looksPerLimit) outgoing.destroy(new Error('the client took nothing for too long'))
  }, limitMs / looksPerLimit)
  outgoing.once('close', () => clearInterval(timer))
}
