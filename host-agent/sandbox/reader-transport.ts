/** How the agent's questions reach a reader, and its answers the agent: HTTP over a socket of the reader's, or HTTP/2 over the one line that leads into a machine. */
import type { FileHandle } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { type Duplex, Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { wholeTrailer } from './protocol.ts'

/** @property isWhole whether the body, once it has ended, was ended by the reader: HTTP/2 ends one in the same way when its line is cut */
export type Reply = { statusCode: number; body: Readable; isWhole: () => boolean }
export type ReaderTransport = {
  /**
   * @param message or what comes of it, which is taken as fast as the reader takes it; an error of it is that of the answer
   * @param signal when it is aborted, the answer that is awaited fails with its reason
   */
  post: (path: string, message: Sent, signal: AbortSignal) => Promise<Reply>
  close: () => Promise<void>
}

type Sent = Buffer | AsyncIterable<Buffer>

const send = (message: Sent, target: Writable): void => {
  // Ended with an error, it ends the request with that.
  if (!Buffer.isBuffer(message)) return void pipeline(Readable.from(message), target).catch(() => undefined)
  target.end(message)
}

const connectionsMax = 32
/** What may be under way of one answer, and of all of them, in bytes: a line into a machine is slow to turn round. */
const window = { answer: 1024 ** 2, all: 8 * 1024 ** 2 }

/** @param folder that the socket lies in; by its descriptor, for a socket's path may only have 107 bytes */
export const overSocketIn = (folder: FileHandle, name: string): ReaderTransport => {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax })
  return {
    post: (path, message, signal) =>
      new Promise((resolve, reject) => {
        const abort = () => outgoing.destroy(signal.reason as Error)
        const outgoing = request(
          { socketPath: `/proc/self/fd/${folder.fd}/${name}`, path, method: 'POST', agent },
          (response) => {
            signal.removeEventListener('abort', abort)
            const isWhole = () => response.trailers[wholeTrailer] !== undefined
            resolve({ statusCode: response.statusCode!, body: response, isWhole })
          },
        )
        signal.addEventListener('abort', abort, { once: true })
        outgoing.once('error', reject)
        send(message, outgoing)
      }),
    close: async () => {
      agent.destroy()
      await folder.close().catch(() => undefined)
    },
  }
}

export const overLine = (line: Duplex): ReaderTransport => {
  const session = connectHttp2('http://reader', {
    createConnection: () => line,
    settings: { initialWindowSize: window.answer, enablePush: false },
  })
  session.once('connect', () => session.setLocalWindowSize(window.all))
  // Whoever asks hears of it.
  session.on('error', () => undefined)
  return {
    post: (path, message, signal) =>
      new Promise((resolve, reject) => {
        const asked = session.request({
          [constants.HTTP2_HEADER_METHOD]: 'POST',
          [constants.HTTP2_HEADER_PATH]: path,
        })
        const abort = () => asked.destroy(signal.reason as Error)
        signal.addEventListener('abort', abort, { once: true })
        let isWhole = false
        asked.once('trailers', (trailers) => {
          isWhole = trailers[wholeTrailer] !== undefined
        })
        asked.once('error', reject)
        asked.once('close', () => reject(new Error('the line into the machine was cut')))
        asked.once('response', (headers) => {
          signal.removeEventListener('abort', abort)
          resolve({ statusCode: Number(headers[constants.HTTP2_HEADER_STATUS]), body: asked, isWhole: () => isWhole })
        })
        send(message, asked)
      }),
    close: async () => {
      session.destroy()
      line.destroy()
    },
  }
}
