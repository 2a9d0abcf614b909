import type { Socket } from 'node:net'

/** Hands out exact numbers of bytes of a socket, in order. */
export class SocketReader {
  #chunks: Buffer[] = []
  #buffered = 0
  #wanted: { length: number; resolve: (data: Buffer) => void; reject: (error: Error) => void } | undefined
  #ended: Error | undefined

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#buffered += chunk.length
      this.#serve()
    })
    const end = (error?: Error) => {
      this.#ended ??= error ?? new Error('the other side closed the connection')
      this.#wanted?.reject(this.#ended)
      this.#wanted = undefined
    }
    socket.on('error', end)
    socket.on('close', () => end())
  }

  take(length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wanted = { length, resolve, reject }
      this.#serve()
      if (this.#wanted && this.#ended) {
        this.#wanted = undefined
        reject(this.#ended)
      }
    })
  }

  #serve() {
    const wanted = this.#wanted
    if (!wanted || this.#buffered < wanted.length) return
    this.#wanted = undefined
    const first = this.#chunks[0]
    if (first && first.length >= wanted.length) {
      if (first.length === wanted.length) this.#chunks.shift()
      else this.#chunks[0] = first.subarray(wanted.length)
      this.#buffered -= wanted.length
      wanted.resolve(first.subarray(0, wanted.length))
      return
    }
    const data = Buffer.allocUnsafe(wanted.length)
    let filled = 0
    while (filled < wanted.length) {
      const chunk = this.#chunks[0]!
      const part = Math.min(chunk.length, wanted.length - filled)
      chunk.copy(data, filled, 0, part)
      filled += part
      if (part === chunk.length) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(part)
    }
    this.#buffered -= wanted.length
    wanted.resolve(data)
  }
}
