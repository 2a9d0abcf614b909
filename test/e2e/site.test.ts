/** A small site for four weeks in fast-forward; the large one is in bench/site. */
import { expect, it } from 'vitest'
import { runSite } from '../support/site.ts'

it('runs every schedule once, loses nothing to deaths, and keeps exactly the points that the counts name', async () => {
  const report = await runSite({
    vms: 6,
    groups: 3,
    schedules: 3,
    days: 28,
    diskBytes: 4 << 20,
    chainLimit: 8,
    refusedPercent: 5,
    compared: 200,
  })
  expect(report.problems).toEqual([])
  expect(report.kills).toBeGreaterThan(10)
  expect(report.merges).toBeGreaterThan(10)
  expect(report.backups).toBeGreaterThan(60)
}, 600_000)
