/** Fingerprints of volumes that are given on while they come: each volume has its own, whatever they come in. */
import { expect, it } from 'vitest'
import { KnownVolumes } from '../../host-agent/mounts/known-volumes.ts'

const heads = [
  { volume: 'a', bytes: 3 },
  { volume: 'empty', bytes: 0 },
  { volume: 'b', bytes: 4 },
  { volume: 'c', bytes: 1 },
]
const bytes = Buffer.from('aaabbbbc')
/** The first one is empty: so it is when nothing has come with what was before it. */
async function* inPieces(all: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = -size; from < all.length; from += size)
    yield all.subarray(Math.max(0, from), Math.max(0, from + size))
}
const textOf = async (chunks: AsyncIterable<Buffer>): Promise<string> => {
  let text = ''
  for await (const chunk of chunks) text += chunk
  return text
}
const all: Record<string, string> = { a: 'aaa', empty: '', b: 'bbbb', c: 'c', unknown: '' }

it.each([1, 2, 3, 100])('each volume is given its own, in any order, in pieces of %i bytes', async (size) => {
  for (const order of ['a empty b c', 'c b a', 'b unknown a c', 'b', 'unknown', '']) {
    const known = new KnownVolumes(heads, inPieces(bytes, size))
    for (const volume of order.split(' ')) {
      const { bytes, chunks } = known.of(volume)
      expect(await textOf(chunks), `${volume} of ${order}`).toBe(all[volume] ?? '')
      expect(bytes).toBe(all[volume]?.length ?? 0)
    }
    await known.end()
  }
})

it('what comes is given on before the rest is there', async () => {
  let send: (chunk: Buffer) => void = () => undefined
  async function* slowly() {
    yield Buffer.from('aa')
    yield await new Promise<Buffer>((resolve) => {
      send = resolve
    })
  }
  const { bytes, chunks } = new KnownVolumes([{ volume: 'a', bytes: 3 }], slowly()).of('a')
  expect(bytes).toBe(3)
  const given = chunks[Symbol.asyncIterator]()
  expect((await given.next()).value).toEqual(Buffer.from('aa'))
  send(Buffer.from('a'))
  expect((await given.next()).value).toEqual(Buffer.from('a'))
  expect((await given.next()).done).toBe(true)
})

it('what breaks off is an error of who asks, and of nobody else', async () => {
  async function* broken() {
    yield Buffer.from('aa')
    throw new Error('the hub went away')
  }
  const known = new KnownVolumes([{ volume: 'a', bytes: 3 }], broken())
  await expect(textOf(known.of('a').chunks)).rejects.toThrow('the hub went away')
})

it.each([1, 3, 100])('fewer or more bytes than was said are found out, in pieces of %i', async (size) => {
  const refused = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  await refused(textOf(new KnownVolumes(heads, inPieces(bytes.subarray(1), size)).of('c').chunks))
  await refused(new KnownVolumes(heads, inPieces(bytes.subarray(1), size)).end())
  await refused(new KnownVolumes(heads, inPieces(Buffer.concat([bytes, bytes]), size)).end())
  await refused(new KnownVolumes([], inPieces(bytes, size)).end())
})
