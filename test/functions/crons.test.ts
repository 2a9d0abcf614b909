import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCrons } from '../../runtime/crons.ts'
import { defineCron } from '../../runtime/function.ts'
import type { LoadedCron } from '../../runtime/load.ts'
import { waitFor } from '../../runtime/service.ts'
import { type Alone, openAlone } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

it('runs a cron at once after a function that may have made work for it, and none once it is stopped', async () => {
  const ran: string[] = []
  const cron = (name: string, more: Partial<LoadedCron>): LoadedCron => ({
    pattern: '0 0 29 2 *',
    function: name,
    bindings: ['CLOCK'],
    fn: defineCron({ summary: name, needs: ['CLOCK'] }, async () => {
      ran.push(name)
    }),
    ...more,
  })
  const crons = startCrons(
    [cron('other', {}), cron('at start', { atStart: true }), cron('index', { after: ['backups/complete'] })],
    alone.bindings,
  )
  await waitFor('the one at start', async () => ran.length > 0, 5_000)
  crons.answered('backups/list')
  crons.answered('backups/complete')
  await waitFor('the one after it', async () => ran.length > 1, 5_000)
  await crons.stop()
  crons.answered('backups/complete')
  expect(ran).toEqual(['at start', 'index'])
})
