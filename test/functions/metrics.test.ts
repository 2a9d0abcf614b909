import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

const scrape = async (path = '/metrics') => {
  const { status, body, headers } = await alone.call('GET', path, undefined, { token: alone.tokens.viewer })
  expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  return body as string
}
const value = (text: string, name: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`sendense_${name} `))
      ?.split(' ')
      .at(-1),
  )

it('tells of an empty hub', async () => {
  const text = await scrape()
  expect(value(text, 'vms')).toBe(0)
  expect(value(text, 'restore_mounts_limit')).toBe(8)
  expect(value(text, 'nbd_ports')).toBe(101)
})
it('tells how old the last good backup of each VM is, and who has none', async () => {
  const web = await readyVm(alone, { name: 'web "1"\\\n' })
  await readyVm(alone, { name: 'db' })
  await completedBackup(alone, web)
  alone.clock.advance(100)
  const text = await scrape('root:/metrics')
  const labels = '{vm="web \\"1\\"\\\\\\n",vcenter="vc.example"}'
  expect(value(text, `vm_last_good_backup_age_seconds${labels}`)).toBe(100)
  expect(value(text, 'vms')).toBe(2)
  expect(value(text, 'vms_without_backup')).toBe(1)
  expect(value(text, 'vms_without_flow')).toBe(2)
  expect(text).toMatch(/sendense_restore_points\{repository="repository of web .*",verify_state="unverified"\} 1/s)
  await alone.call('POST', '/protection-flows', {
    name: 'flow',
    flow_type: 'backup',
    target_type: 'vm',
    target_id: web.contextId,
    repository_id: web.repositoryId,
  })
  expect(value(await scrape(), 'vms_without_flow')).toBe(1)
})
it('is what promtool accepts, names and all', async () => {
  const text = await scrape()
  // It writes what it finds to stderr and fails for it.
  execFileSync('/usr/bin/promtool', ['check', 'metrics'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] })
})
it('is for those who log in', async () => {
  expect((await alone.call('GET', '/metrics', undefined, { token: null })).status).toBe(401)
})
