import { expect, it } from 'vitest'
import { joinBytes, splitBytes } from '../../contract/json-and-bytes.ts'

it('what is joined is split again, whatever bytes there are', () => {
  const json = { text: 'with\na line, "quotes" and ü', number: 1 }
  for (const bytes of [[], [Buffer.from([0x0a, 0, 0x7b]), Buffer.alloc(0), Buffer.from([0xff])]]) {
    const split = splitBytes(joinBytes(json, bytes))
    expect(JSON.parse(split.json)).toEqual(json)
    expect(split.bytes).toEqual(Buffer.concat(bytes))
  }
})

it('a message without a line is JSON alone', () => {
  expect(splitBytes(Buffer.from('{}'))).toEqual({ json: '{}', bytes: Buffer.alloc(0) })
  expect(splitBytes(Buffer.alloc(0))).toEqual({ json: '', bytes: Buffer.alloc(0) })
})
