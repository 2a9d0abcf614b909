import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { messageOf, readBytes, readMessage, readShared } from '../../contract/json-and-bytes.ts'

const json = { text: 'with\na line, "quotes" and ü', number: 1 }
const bytes = [Buffer.from([0x0a, 0, 0x7b]), Buffer.alloc(0), Buffer.from([0xff])]
/** In pieces of so many bytes. */
const inPieces = (message: Buffer, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(message.length / size) }, (_, at) => message.subarray(at * size, (at + 1) * size)),
  )

it.each([1, 2, 7, 1000])('what is sent in pieces of %i bytes is read', async (size) => {
  for (const behind of [[], bytes]) {
    const message = await readMessage(inPieces(Buffer.concat([messageOf(json), ...behind]), size), 1000)
    expect(JSON.parse(message.json)).toEqual(json)
    expect(Buffer.from(await readBytes(message.rest, 4))).toEqual(Buffer.concat(behind))
  }
})

it('a message without a line is JSON alone', async () => {
  for (const text of ['{}', '']) {
    const message = await readMessage(inPieces(Buffer.from(text), 1), 2)
    expect(message.json).toBe(text)
    expect((await readBytes(message.rest, 0)).length).toBe(0)
  }
})

it('more than may come is refused', async () => {
  const code = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' })
  await code(readMessage(inPieces(Buffer.from('{"a":1}'), 3), 6))
  const message = await readMessage(inPieces(Buffer.concat([messageOf({}), ...bytes]), 2), 2)
  await code(readBytes(message.rest, 3))
})

it.each([1, 2, 7, 1000])('bytes whose number is known are read in pieces of %i, and no others', async (size) => {
  const all = Buffer.from('0123456789')
  const read = await readShared({ bytes: 10, chunks: inPieces(all, size) })
  expect(Buffer.from(read)).toEqual(all)
  expect(read.buffer).toBeInstanceOf(SharedArrayBuffer)
  for (const bytes of [0, 9, 11])
    await expect(readShared({ bytes, chunks: inPieces(all, size) })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    })
})
