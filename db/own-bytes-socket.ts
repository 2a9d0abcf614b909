/** A connection to the database server that keeps what waits in it from being written over. */
import { connect, type Socket } from 'node:net'
import type { ConnectionOptions } from 'mysql2/promise'

/** Of a packet without content. */
const headerBytes = 4

/**
 * For the driver's option `stream`. The driver ends the rows of every LOAD DATA with one and the same packet without content, into which it writes the packet's number before it gives it to a socket.
 * Where that is full, and the packet waits in it, the next connection's number would be written over the first one's: the server then looks for the end of the rows until it has lost its patience,
 * after half a minute, and the connection is over.
 */
export const connectedSocket = ({ config }: { config: ConnectionOptions }): Socket => {
  const { socketPath, host, port } = config
  const socket = socketPath
    ? connect(socketPath)
    : connect({ host, port: Number(port), noDelay: true, keepAlive: true })
  const write = socket.write.bind(socket) as (bytes: Uint8Array, ...more: unknown[]) => boolean
  const writeOwn = (bytes: Uint8Array, ...more: unknown[]) =>
    write(bytes.length <= headerBytes ? Buffer.from(bytes) : bytes, ...more)
  return Object.assign(socket, { write: writeOwn })
}
