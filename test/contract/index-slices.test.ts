import { expect, it } from 'vitest'
import { firstOfSlice, hashOfBytes, nameHash, prefixOf, sliceBits, sliceOf } from '../../contract/index-slices.ts'
import { isInPart, partOf, placeOfPart } from '../../db/queries/file-places.ts'
import { FolderPrint, findFingerprint, toFingerprints } from '../../host-agent/files/fingerprints.ts'
import { hashOfName, Names } from '../../host-agent/files/names.ts'
import { seeded } from '../support/damage.ts'

const names = ['', 'a', 'b', 'report-000123.txt', 'Ünïcode', '文件', 'İ', '\ufffd', 'x'.repeat(255)]

it('a name has one hash, whoever asks for it', () => {
  for (const name of names) {
    const bytes = Buffer.from(name)
    expect(nameHash(name)).toBe(hashOfBytes(bytes))
    expect(hashOfName(Buffer.from(`before${name}behind`), 6, 6 + bytes.length)).toBe(nameHash(name))
  }
  const noText = Buffer.from([0x61, 0xff, 0xfe])
  expect(hashOfName(noText, 0, 3)).toBe(nameHash(`\0${noText.toString('base64')}`))
  const all = Array.from({ length: 200_000 }, (_, at) => nameHash(`file-${at}`))
  expect(new Set(all).size).toBe(all.length)
  expect(all.every((hash) => Number.isSafeInteger(hash) && hash >= 0 && hash < 2 ** 53)).toBe(true)
})

it('a slice is a range of hashes, and slices are about equal', () => {
  const all = Array.from({ length: 10_000 }, (_, at) => nameHash(`report-${String(at).padStart(6, '0')}.txt`))
  const bits = sliceBits(all.length)
  const counts = new Array<number>(2 ** bits).fill(0)
  for (const hash of all) {
    const slice = sliceOf(hash, bits)
    expect(hash >= firstOfSlice(slice, bits) && hash < firstOfSlice(slice + 1, bits)).toBe(true)
    counts[slice]!++
    for (const fewer of [0, 1, bits]) {
      const part = partOf(hash, fewer)
      expect(isInPart(hash, part)).toBe(true)
      const { least, most } = placeOfPart(7, part)
      expect(hash >= least && hash <= most).toBe(true)
    }
  }
  expect(Math.max(...counts)).toBeLessThan(80)
  expect(Math.min(...counts)).toBeGreaterThan(2)
})

const inode = (size: number, modified: number, kind: 'f' | 'd' = 'f') => ({ kind, size, modified })
type Known = ReturnType<typeof inode> | undefined
const printed = (records: string, ...inodes: Known[]) => {
  const all = Names.of(Buffer.from(records))
  const made = new FolderPrint({ place: 42, bits: 0, from: 0, to: 1, count: inodes.length, mark: 7 }, all.records)
  for (const [at, named] of Array.from(all, (one) => ({ ...one })).entries())
    if (at < inodes.length) made.add(inodes[at], all.bytes, named)
  return made
}
const knownOf = (bytes: Buffer) => findFingerprint(toFingerprints(Buffer.concat([bytes, bytes.subarray(0, 9)])), 42)!

it('a fingerprint says what has changed, and whether the names have', () => {
  const records = 'f12 a\0f13 b\0'
  const first = printed(records, inode(1, 2), undefined)
  const known = knownOf(first.bytes)
  expect(findFingerprint(toFingerprints(first.bytes), 41)).toBeUndefined()
  expect(printed(records, undefined, undefined).hasNamesOf(known)).toBe(true)
  expect(printed(records).hasNamesOf(known)).toBe(false)
  expect(printed('f12 a\0f14 b\0', undefined, undefined).hasNamesOf(known)).toBe(false)
  const isAs = (one: Known) => printed('f12 a\0', one).isAsIn(known)
  expect(isAs(inode(1, 2))).toBe(true)
  for (const other of [
    inode(2, 1),
    inode(1, 3),
    inode(1, 2, 'd'),
    inode(1 + 2 ** 32, 2),
    inode(1, -2),
    inode(0, 0),
    undefined,
  ])
    expect(isAs(other)).toBe(false)
  // Numbers that differ a little, or in their upper halves alone.
  const prints = new Set<string>()
  for (const size of [0, 1, 2, 2 ** 32, 2 ** 33, 2 ** 53 - 1])
    for (const modified of [-1e15, -1, 0, 1, 2 ** 32, 1_795_934_035_516_504, 1_795_934_035_516_505])
      prints.add(printed('f1 a\0', inode(size, modified)).bytes.subarray(44).toString('hex'))
  expect(prints.size).toBe(42)
})

it('a fingerprint says of inodes alone what has changed, whatever was done to it', () => {
  const numbers = [131, 132, 128, 2 ** 33, 5]
  const records = numbers.map((number, at) => `f${number} name ${at}\0`).join('')
  const was = numbers.map((_, at) => inode(at, 1, at === 2 ? 'd' : 'f'))
  const { bytes } = printed(records, ...was)
  const now = (of: Buffer, ...changed: [number, Known][]) =>
    knownOf(of)?.now((number) =>
      new Map([...numbers.map((one, at) => [one, was[at]] as const), ...changed]).get(number),
    )
  const same = now(bytes)!
  expect([same.over, same.changed]).toEqual([[], []])
  expect(
    Array.from(same.folders, ({ inode: number, start, end }) => [
      number,
      same.folders.bytes.toString('utf8', start, end),
    ]),
  ).toEqual([[128, 'name 2']])
  const changed = now(bytes, [2 ** 33, inode(9, 9)])!
  expect(changed.changed).toEqual([[prefixOf(nameHash('name 3')), 'f', 9, 9]])
  const part = knownOf(bytes)
  part.write(changed.over)
  expect(part.bytes).toEqual(printed(records, ...was.with(3, inode(9, 9))).bytes)
  // One that is not there, a folder that was none, and two names that can not be told from each other.
  expect(now(bytes, [5, undefined])).toBeUndefined()
  expect(now(bytes, [5, inode(4, 1, 'd')])).toBeUndefined()
  expect(now(printed('f1 a\0f2 a\0', inode(1, 1), inode(2, 2)).bytes)).toBeUndefined()
  const random = seeded(11)
  for (let turn = 0; turn < 5000; turn++) {
    const damaged = Buffer.from(bytes)
    for (let byte = 0; byte <= turn % 4; byte++) damaged[12 + random(damaged.length - 12)] = random(256)
    const found = now(damaged)
    for (const { start, end } of found?.folders ?? [])
      expect(found!.folders.bytes.toString('latin1', start, end)).not.toMatch(/^$|^\.{1,2}$|[/\0]/)
    for (const length of [random(bytes.length), bytes.length])
      for (const cut of [damaged.subarray(0, length)]) toFingerprints(cut)
  }
})

it('names are bytes with what their folder says of them', () => {
  const all = new Names()
  for (const [at, name] of names.slice(1).entries()) expect(all.add(0x66, 1000 + at, Buffer.from(name))).toBe(true)
  for (const none of ['', 'a/b', 'a\0b']) expect(all.add(0x66, 1, Buffer.from(none))).toBe(false)
  expect(all.count).toBe(names.length - 1)
  const text = ({ start, end }: { start: number; end: number }, of = all) => of.bytes.toString('utf8', start, end)
  expect(Array.from(all, (named) => [text(named), named.inode])).toEqual(
    names.slice(1).map((name, at) => [name, 1000 + at]),
  )
  const sorted = all.sorted()
  const hashes = Array.from(sorted, (named) => nameHash(text(named, sorted)))
  expect(hashes).toEqual(hashes.toSorted((a, b) => a - b))
  expect(Names.of(new Uint8Array(sorted.records)).count).toBe(names.length - 1)
})
