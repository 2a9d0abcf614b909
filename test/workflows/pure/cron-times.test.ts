import { expect, it } from 'vitest'
import { cronProblems, nextCronTime } from '../../../workflows/cron-times.ts'

const times = (expression: string, timezone: string, from: string, count: number) => {
  const found: string[] = []
  for (let at = new Date(from); found.length < count; ) {
    const next = nextCronTime(expression, timezone, at)
    if (!next) break
    found.push(next.toISOString().slice(0, 16))
    at = next
  }
  return found
}

it('reads an expression in its time zone, summer and winter', () => {
  expect(times('0 6 * * *', 'America/New_York', '2026-03-07T00:00:00Z', 2)).toEqual([
    '2026-03-07T11:00',
    '2026-03-08T10:00',
  ])
  expect(times('*/30 * * * * *', 'UTC', '2026-03-07T00:00:10Z', 2)).toEqual(['2026-03-07T00:00', '2026-03-07T00:01'])
})
// In Berlin 02:00 to 03:00 does not exist on 2026-03-29, and comes twice on 2026-10-25.
it('runs what a clock change skips at the next valid minute', () => {
  expect(times('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
    '2026-03-29T01:00',
    '2026-03-30T00:30',
  ])
  expect(times('*/20 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
    '2026-03-29T01:00',
    '2026-03-30T00:00',
  ])
})
it('runs what a clock change doubles once', () => {
  for (const expression of ['30 2 * * *', '0 30 2 * * *', '30,30 2 * * *'])
    expect(times(expression, 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ])
  expect(times('*/30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 3)).toEqual([
    '2026-10-25T00:00',
    '2026-10-25T00:30',
    '2026-10-26T01:00',
  ])
})
it('leaves no hour out where the hour is open', () => {
  expect(times('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3)).toEqual([
    '2026-10-25T00:00',
    '2026-10-25T01:00',
    '2026-10-25T02:00',
  ])
})
it('says what is wrong', () => {
  const now = new Date('2026-01-01T00:00:00Z')
  for (const good of ['0 1 * * *', '0 0 1 * * MON-FRI', '*/5 * * * *', ' 0 1 * * * '])
    expect(cronProblems(good, 'Europe/Berlin', now)).toEqual([])
  for (const bad of ['', '@daily', '61 * * * *', 'a b c d e', '* * * * * * *', '*/0 2 * * *', '0 0 30 2 *', '1 1 1 1'])
    expect(cronProblems(bad, 'UTC', now)).toMatchObject([{ field: 'cron_expression', code: 'FORMAT' }])
  for (const bad of ['', 'Mars/Base', '+02:00', 'x'.repeat(50)])
    expect(cronProblems('0 1 * * *', bad, now)).toMatchObject([{ field: 'timezone', code: 'FORMAT' }])
})
