import { expect, it } from 'vitest'
import type { IndexedEntry } from '../../contract/agent.ts'
import { firstOfSlice, nameHash, sliceOf } from '../../contract/index-slices.ts'
import { entriesOf, FolderSlices, hashOfEntry, type KeptSlice, toSlice } from '../../db/queries/file-slices.ts'
import { isAlike, stillThere, type Version, versionAt, withPoint } from '../../db/queries/file-timeline.ts'
import { seeded } from '../support/damage.ts'

const entryOf = (size: number): IndexedEntry => ['name', 'f', size, 0]

it('each point has of a name what it was told, in whatever order the points become known and are deleted', () => {
  const random = seeded(20261129)
  for (let run = 0; run < 2000; run++) {
    const sizes = Array.from({ length: 8 }, () => random(3))
    const order = sizes.map((_, at) => at).sort(() => random(2) - 0.5)
    const points: number[] = []
    let versions: Version[] = []
    for (const at of order) {
      const before = points.filter((one) => one < at).at(-1)
      const after = points.find((one) => one > at)
      const told = (point: number | undefined) =>
        point === undefined || sizes[point] === 0 ? undefined : entryOf(sizes[point]!)
      const known = withPoint(versions, told(at), { before, at, after })
      points.push(at)
      points.sort((a, b) => a - b)
      expect(known.changedAt).toEqual([
        ...(before !== undefined && !isAlike(told(before), told(at)) ? [at] : []),
        ...(after !== undefined && !isAlike(told(at), told(after)) ? [after] : []),
      ])
      versions = known.versions
      for (const point of points) expect(versionAt(versions, point)?.entry[2]).toBe(told(point)?.[2])
      // They never lie in one another, and none of the newest point's is more than one.
      const sorted = versions.toSorted((a, b) => a.firstAt - b.firstAt)
      for (const [number, version] of sorted.entries())
        expect(version.lastAt).toBeLessThanOrEqual(sorted[number + 1]?.firstAt ?? stillThere)
      if (random(3) === 0) points.splice(random(points.length), 1)
    }
  }
})

it('a folder that grows and shrinks is dealt anew, and no name is lost or in two slices', () => {
  const random = seeded(7)
  for (let run = 0; run < 200; run++) {
    let table = new Map<number, KeptSlice>()
    let names: string[] = []
    for (let turn = 0; turn < 6; turn++) {
      const bits = random(5)
      const number = random(60)
      names = Array.from({ length: number }, (_, at) => `name-${at + random(3)}`).filter(
        (name, at, all) => all.indexOf(name) === at,
      )
      const slices = new FolderSlices([...table.values()])
      // Told in two parts, as a very large one is.
      const middle = random(2 ** bits + 1)
      for (const [from, to] of [
        [0, middle],
        [middle, 2 ** bits],
      ] as const) {
        const earlier = [...table.values()].flatMap((kept) => [...entriesOf(toSlice(kept))])
        const isIn = ({ entry }: { entry: IndexedEntry }) => {
          const slice = sliceOf(hashOfEntry(entry), bits)
          return slice >= from && slice < to
        }
        const nameOf = ({ entry }: { entry: IndexedEntry }) => entry[0]
        expect(slices.take(bits, from, to).map(nameOf).sort()).toEqual(earlier.filter(isIn).map(nameOf).sort())
        for (const name of names) {
          const present = { entry: [name, 'f', 1, turn] as IndexedEntry, firstAt: turn }
          if (isIn(present)) slices.put(bits, sliceOf(nameHash(name), bits), present)
        }
      }
      for (const least of slices.gone()) table.delete(least)
      for (const slice of slices.changed()) table.set(slice.least, slice)
      table = new Map([...table].sort(([a], [b]) => a - b))
      const kept = [...table.values()]
      const all = kept.flatMap((slice) => [...entriesOf(toSlice(slice))].map(({ entry }) => entry[0]))
      expect(all.toSorted()).toEqual(names.toSorted())
      for (const [at, slice] of kept.entries()) {
        const end = slice.least + firstOfSlice(1, slice.bits)
        expect(end).toBeLessThanOrEqual(kept[at + 1]?.least ?? 2 ** 53)
        for (const { entry } of entriesOf(toSlice(slice))) {
          expect(hashOfEntry(entry)).toBeGreaterThanOrEqual(slice.least)
          expect(hashOfEntry(entry)).toBeLessThan(end)
        }
      }
    }
  }
  // What is as it was is not written again.
  const kept = { bits: 0, least: 0, files: JSON.stringify([[1, [['name', 'f', 1, 1]]]]) }
  const slices = new FolderSlices([kept])
  for (const present of slices.take(0, 0, 1)) slices.put(0, 0, present)
  expect([[...slices.changed()], slices.gone()]).toEqual([[], []])
})
