import { expect, it } from 'vitest'
import { firstOfSlice, hashOfBytes, nameHash, sliceBits, sliceOf } from '../../contract/index-slices.ts'
import { isInPart, partOf, placeOfPart } from '../../db/queries/file-places.ts'
import { FolderPrint, findFingerprint, toFingerprints } from '../../host-agent/files/fingerprints.ts'
import { hashOfName, Names } from '../../host-agent/files/names.ts'

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

it('a fingerprint says what has changed, and whether the names have', () => {
  const inode = (size: number, modified: number, kind: 'f' | 'd' = 'f') => ({ kind, size, modified })
  const print = (records: string, ...inodes: (ReturnType<typeof inode> | undefined)[]) => {
    const made = new FolderPrint(42, 0, Buffer.from(records), inodes.length)
    for (const one of inodes) made.add(one)
    return made
  }
  const records = 'f12 a\0f13 b\0'
  const first = print(records, inode(1, 2), undefined)
  const known = findFingerprint(
    toFingerprints(Buffer.concat([Buffer.from(first.bytes), first.bytes.subarray(0, 9)])),
    42,
  )!
  expect(findFingerprint(toFingerprints(first.bytes), 41)).toBeUndefined()
  const same = print(records)
  expect(print(records, undefined, undefined).hasNamesOf(known)).toBe(true)
  expect(same.hasNamesOf(known)).toBe(false)
  expect(print('f12 a\0f14 b\0', undefined, undefined).hasNamesOf(known)).toBe(false)
  const isAs = (one: ReturnType<typeof inode> | undefined) => {
    const made = new FolderPrint(42, 0, Buffer.from(records), 2)
    made.add(one)
    return made.isAsIn(known)
  }
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
      prints.add(print('f1 a\0', inode(size, modified)).bytes.subarray(20).toString('hex'))
  expect(prints.size).toBe(42)
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
