import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Keep } from '../../../contract/api/policies.ts'
import { keptPoints } from '../../../workflows/keep-points.ts'

const none: Keep = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
const points = (...times: string[]) => times.map((time) => ({ id: time, at: new Date(`${time}:00.000Z`) }))
const kept = (keep: Partial<Keep>, ...times: string[]) => [...keptPoints(points(...times), { ...none, ...keep }).keys()]

it('keeps the newest of each period, as many periods as it says', () => {
  const times = ['2026-03-01T01:00', '2026-03-01T23:00', '2026-03-02T01:00', '2026-03-04T01:00', '2026-03-04T02:00']
  expect(kept({}, ...times)).toEqual([])
  expect(kept({ last: 2 }, ...times)).toEqual(['2026-03-04T02:00', '2026-03-04T01:00'])
  // Days without a point are no days.
  expect(kept({ daily: 3 }, ...times)).toEqual(['2026-03-04T02:00', '2026-03-02T01:00', '2026-03-01T23:00'])
  expect(kept({ hourly: 1 }, ...times)).toEqual(['2026-03-04T02:00'])
  expect(kept({ monthly: 5 }, '2025-12-31T23:59', '2026-01-01T00:00', '2026-01-31T00:00')).toEqual([
    '2026-01-31T00:00',
    '2025-12-31T23:59',
  ])
  expect(kept({ yearly: 1 }, '2025-12-31T23:59', '2026-01-01T00:00')).toEqual(['2026-01-01T00:00'])
})
it('counts weeks from Monday, as ISO 8601 does', () => {
  // A Sunday, a Monday, and the two sides of a year that ends in the middle of a week.
  expect(kept({ weekly: 9 }, '2026-03-01T12:00', '2026-03-02T12:00')).toHaveLength(2)
  expect(kept({ weekly: 9 }, '2026-12-31T12:00', '2027-01-01T12:00')).toEqual(['2027-01-01T12:00'])
  expect(
    keptPoints(points('2021-01-03T00:00', '2024-12-30T00:00', '2026-01-01T00:00'), { ...none, weekly: 9 }),
  ).toEqual(
    new Map([
      ['2026-01-01T00:00', ['weekly 2026-W01']],
      ['2024-12-30T00:00', ['weekly 2025-W01']],
      ['2021-01-03T00:00', ['weekly 2020-W53']],
    ]),
  )
})
it('says every reason for which a point is kept', () => {
  expect(
    keptPoints(points('2026-03-01T01:00'), { ...none, last: 3, daily: 1, yearly: 1 }).get('2026-03-01T01:00'),
  ).toEqual(['last 1 of 3', 'daily 2026-03-01', 'yearly 2026'])
})
it('keeps, whatever the points are, what a slow count of its own would keep', () => {
  const hour = 3600_000
  const slowly = (times: number[], count: number, spanMs: number) => {
    const newest = new Map<number, number>()
    for (const time of times) {
      const span = Math.floor(time / spanMs)
      newest.set(span, Math.max(newest.get(span) ?? 0, time))
    }
    return [...newest.keys()]
      .sort((a, b) => b - a)
      .slice(0, count)
      .map((span) => newest.get(span)!)
  }
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 5000 * 24 }), { maxLength: 60 }),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 0, max: 20 }),
      (hours, hourly, daily) => {
        // Quarters of an hour, from 1970 on.
        const times = hours.map((at) => at * (hour / 4))
        const found = keptPoints(
          times.map((time) => ({ id: String(time), at: new Date(time) })),
          { ...none, hourly, daily },
        )
        const wanted = new Set([...slowly(times, hourly, hour), ...slowly(times, daily, 24 * hour)].map(String))
        expect(new Set(found.keys())).toEqual(wanted)
      },
    ),
  )
})
