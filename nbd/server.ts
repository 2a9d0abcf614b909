/** An NBD server of exports that are read and never written, over a unix socket. Its clients are QEMU's. */
import { createServer, type Server, type Socket } from 'node:net'
import { command, handshakeFlags, info, magic, option, optionReply, transmissionFlags } from './protocol.ts'
import { SocketReader } from './socket-reader.ts'

export type ReadableExport = {
  sizeBytes: number
  /** All of it lies within. @throws Error what can not be read */
  read: (at: number, length: number) => Promise<Buffer>
}

/** More than QEMU asks for at once. */
const requestBytesMax = 32 * 1024 * 1024
const optionBytesMax = 4096
const error = { io: 5, notPermitted: 1, invalid: 22 } as const
const flags = transmissionFlags.hasFlags | transmissionFlags.readOnly | transmissionFlags.multiConnection

/** @param find an export by its name @param path of the socket, made here */
export const serveExports = async (
  path: string,
  find: (name: string) => ReadableExport | undefined,
): Promise<Server> => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    // Whoever breaks the protocol is left alone.
    void serve(socket, find).catch(() => socket.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  return server
}

const serve = async (socket: Socket, find: (name: string) => ReadableExport | undefined) => {
  const reader = new SocketReader(socket)
  const opened = await negotiate(socket, reader, find)
  if (opened) await transmit(socket, reader, opened)
  socket.end()
}

/** @returns undefined when the client wants none */
const negotiate = async (
  socket: Socket,
  reader: SocketReader,
  find: (name: string) => ReadableExport | undefined,
): Promise<ReadableExport | undefined> => {
  const hello = Buffer.alloc(18)
  hello.writeBigUInt64BE(magic.server, 0)
  hello.writeBigUInt64BE(magic.option, 8)
  hello.writeUInt16BE(handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes, 16)
  socket.write(hello)
  await reader.take(4)
  for (;;) {
    const head = await reader.take(16)
    if (head.readBigUInt64BE(0) !== magic.option) throw new Error('no option')
    const [asked, length] = [head.readUInt32BE(8), head.readUInt32BE(12)]
    if (length > optionBytesMax) throw new Error('the option is too long')
    const data = await reader.take(length)
    const reply = (type: number, body = Buffer.alloc(0)) => {
      const answer = Buffer.alloc(20)
      answer.writeBigUInt64BE(magic.optionReply, 0)
      answer.writeUInt32BE(asked, 8)
      answer.writeUInt32BE(type, 12)
      answer.writeUInt32BE(body.length, 16)
      socket.write(Buffer.concat([answer, body]))
    }
    if (asked === option.abort) {
      reply(optionReply.ack)
      return undefined
    }
    if (asked !== option.go && asked !== option.info) {
      reply(optionReply.unsupported)
      continue
    }
    const found = find(data.toString('utf8', 4, 4 + data.readUInt32BE(0)))
    if (!found) {
      reply(optionReply.unknown)
      continue
    }
    const description = Buffer.alloc(12)
    description.writeUInt16BE(info.export, 0)
    description.writeBigUInt64BE(BigInt(found.sizeBytes), 2)
    description.writeUInt16BE(flags, 10)
    reply(optionReply.info, description)
    reply(optionReply.ack)
    if (asked === option.go) return found
  }
}

const transmit = async (socket: Socket, reader: SocketReader, { sizeBytes, read }: ReadableExport) => {
  const answer = (code: number, cookie: Buffer, data?: Buffer) => {
    const head = Buffer.alloc(16)
    head.writeUInt32BE(magic.simpleReply, 0)
    head.writeUInt32BE(code, 4)
    cookie.copy(head, 8)
    socket.cork()
    socket.write(head)
    if (data) socket.write(data)
    socket.uncork()
  }
  for (;;) {
    const request = await reader.take(28)
    if (request.readUInt32BE(0) !== magic.request) throw new Error('no request')
    const type = request.readUInt16BE(6)
    const cookie = Buffer.from(request.subarray(8, 16))
    const [at, length] = [Number(request.readBigUInt64BE(16)), request.readUInt32BE(24)]
    if (type === command.disconnect) return
    if (type !== command.read) {
      // What is to be written comes behind the request, and could not be told from the next one.
      if (type === command.write) throw new Error('this export is read-only')
      answer(type === command.flush ? 0 : error.notPermitted, cookie)
    } else if (length > requestBytesMax || at + length > sizeBytes) answer(error.invalid, cookie)
    // Several at once: their answers may come in any order.
    else
      void read(at, length).then(
        (data) => answer(0, cookie, data),
        () => answer(error.io, cookie),
      )
  }
}
