/** An NBD client with many requests in flight: what the data mover writes with, and what the agent flushes with. */
import { createConnection, type Socket } from 'node:net'
import { command, errorNames, handshakeFlags, info, magic, option, optionReply, transmissionFlags } from './protocol.ts'
import { SocketReader } from './socket-reader.ts'

export type NbdAddress = { host: string; port: number; exportName: string } | { socketPath: string; exportName: string }

/** Servers take at least this much in one request, and it is the size that measured best. */
export const requestBytesMax = 1024 * 1024

type Waiting = { resolve: (data: Buffer) => void; reject: (error: Error) => void; readLength: number }

export class NbdClient {
  readonly size: number
  readonly #flags: number
  readonly #socket: Socket
  readonly #waiting = new Map<bigint, Waiting>()
  #nextHandle = 1n
  #failure: Error | undefined

  /** Connects and negotiates. @throws Error when the server refuses or does not speak NBD */
  static async connect(address: NbdAddress, timeoutMs = 10_000): Promise<NbdClient> {
    const socket =
      'port' in address
        ? createConnection({ host: address.host, port: address.port, noDelay: true })
        : createConnection({ path: address.socketPath })
    try {
      const reader = new SocketReader(socket)
      const timer = setTimeout(() => socket.destroy(new Error('the NBD server did not answer in time')), timeoutMs)
      const { size, flags } = await negotiate(socket, reader, address.exportName)
      clearTimeout(timer)
      return new NbdClient(socket, reader, size, flags)
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  private constructor(socket: Socket, reader: SocketReader, size: number, flags: number) {
    this.#socket = socket
    this.size = size
    this.#flags = flags
    this.#receive(reader).catch((error: Error) => this.#fail(error))
  }

  get canWriteZeroes() {
    return (this.#flags & transmissionFlags.writeZeroes) !== 0
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#request(command.read, offset, length)
  }
  async write(offset: number, data: Buffer): Promise<void> {
    await this.#request(command.write, offset, data.length, data)
  }
  /** Makes an area read as zeros, also where the file below holds data. */
  async writeZeroes(offset: number, length: number): Promise<void> {
    if (this.canWriteZeroes) await this.#request(command.writeZeroes, offset, length)
    else await this.#request(command.write, offset, length, Buffer.alloc(length))
  }
  async flush(): Promise<void> {
    if (this.#flags & transmissionFlags.flush) await this.#request(command.flush, 0, 0)
  }

  /** Says goodbye; requests still in flight are lost. */
  close() {
    if (this.#socket.destroyed) return
    const header = this.#header(command.disconnect, 0, 0, 0n)
    this.#failure ??= new Error('the NBD connection is closed')
    this.#socket.end(header)
    this.#socket.unref()
  }
  destroy() {
    this.#fail(new Error('the NBD connection was cut'))
  }

  #header(type: number, offset: number, length: number, handle: bigint) {
    const header = Buffer.allocUnsafe(28)
    header.writeUInt32BE(magic.request, 0)
    header.writeUInt16BE(0, 4)
    header.writeUInt16BE(type, 6)
    header.writeBigUInt64BE(handle, 8)
    header.writeBigUInt64BE(BigInt(offset), 16)
    header.writeUInt32BE(length, 24)
    return header
  }

  #request(type: number, offset: number, length: number, payload?: Buffer): Promise<Buffer> {
    if (this.#failure) return Promise.reject(this.#failure)
    const handle = this.#nextHandle++
    return new Promise((resolve, reject) => {
      this.#waiting.set(handle, { resolve, reject, readLength: type === command.read ? length : 0 })
      if (!payload) {
        this.#socket.write(this.#header(type, offset, length, handle))
        return
      }
      this.#socket.cork()
      this.#socket.write(this.#header(type, offset, length, handle))
      this.#socket.write(payload)
      this.#socket.uncork()
    })
  }

  async #receive(reader: SocketReader) {
    for (;;) {
      const header = await reader.take(16)
      if (header.readUInt32BE(0) !== magic.simpleReply)
        throw new Error('the NBD server sent something that is no reply')
      const code = header.readUInt32BE(4)
      const handle = header.readBigUInt64BE(8)
      const waiting = this.#waiting.get(handle)
      if (!waiting) throw new Error('the NBD server answered a request that was never made')
      // It stays among the waiting until its data is here, so that a connection that breaks now rejects it too.
      const data = code === 0 && waiting.readLength > 0 ? await reader.take(waiting.readLength) : Buffer.alloc(0)
      this.#waiting.delete(handle)
      if (code === 0) waiting.resolve(data)
      else waiting.reject(new Error(`the NBD server answered ${errorNames[code] ?? `error ${code}`}`))
    }
  }

  #fail(error: Error) {
    this.#failure ??= error
    this.#socket.destroy()
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }
}

const negotiate = async (socket: Socket, reader: SocketReader, exportName: string) => {
  const greeting = await reader.take(18)
  if (greeting.readBigUInt64BE(0) !== magic.server || greeting.readBigUInt64BE(8) !== magic.option)
    throw new Error('this is no NBD server')
  if ((greeting.readUInt16BE(16) & handshakeFlags.fixedNewstyle) === 0) throw new Error('the NBD server is too old')
  const clientFlags = Buffer.alloc(4)
  clientFlags.writeUInt32BE(handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes)

  const name = Buffer.from(exportName)
  const go = Buffer.alloc(16 + 4 + name.length + 2)
  go.writeBigUInt64BE(magic.option, 0)
  go.writeUInt32BE(option.go, 8)
  go.writeUInt32BE(4 + name.length + 2, 12)
  go.writeUInt32BE(name.length, 16)
  name.copy(go, 20)
  socket.write(Buffer.concat([clientFlags, go]))

  let size = -1
  let flags = 0
  for (;;) {
    const reply = await reader.take(20)
    if (reply.readBigUInt64BE(0) !== magic.optionReply) throw new Error('the NBD server broke the handshake')
    const type = reply.readUInt32BE(12)
    const length = reply.readUInt32BE(16)
    if (length > 65536) throw new Error('the NBD server broke the handshake')
    const data = await reader.take(length)
    if (type >= optionReply.errorBit)
      throw new Error(`the NBD server refused the export: ${data.toString('utf8').slice(0, 200)}`)
    if (type === optionReply.ack) break
    if (type === optionReply.info && data.readUInt16BE(0) === info.export) {
      const bytes = data.readBigUInt64BE(2)
      if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error('the NBD export is absurdly large')
      size = Number(bytes)
      flags = data.readUInt16BE(10)
    }
  }
  if (size < 0) throw new Error('the NBD server did not say how large the export is')
  return { size, flags }
}
