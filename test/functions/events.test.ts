import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
beforeAll(async () => {
  // The end of what ends is told for some minutes, by the true clock.
  alone = await openAlone({ now: new Date() })
  vm = await readyVm(alone)
})
afterAll(() => alone.close())

type Told = { id: string; event: string; data: any }
/** Listens until `enough`; ends the connection then. */
const listen = async (enough: (told: Told[]) => boolean, headers: Record<string, string> = {}): Promise<Told[]> => {
  const response = await alone.app.request('/api/v1/events', {
    headers: { Authorization: `Bearer ${alone.tokens.viewer}`, ...headers },
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const told: Told[] = []
  let text = ''
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString()
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      if (fields.data !== undefined)
        told.push({ id: fields.id ?? '', event: fields.event ?? '', data: JSON.parse(fields.data) })
    }
    if (enough(told)) break
  }
  return told
}
const start = async (): Promise<string> =>
  (
    await alone.call('POST', '/backups', {
      vm_name: vm.vmName,
      repository_id: vm.repositoryId,
      backup_type: 'full',
    })
  ).body.backup_id
const jobIs = (status: string) => (told: Told[]) =>
  told.some(({ event, data }) => event === 'job' && data.status === status)

it('tells at first what is there, then what changes', async () => {
  const telling = listen(jobIs('cancelled'))
  await new Promise((resolve) => setTimeout(resolve, 300))
  const id = await start()
  await alone.call('POST', `/telemetry/backup/${id}`, {
    status: 'running',
    bytes_transferred: 12_345,
    total_bytes: 20_000,
  })
  await listen((told) => told.some(({ data }) => data.bytes_transferred === 12_345))
  await alone.call('POST', `/backups/${id}/cancel`, {})
  const told = await telling
  expect(told[0]).toMatchObject({ event: 'repository', data: { id: vm.repositoryId, enabled: true } })
  const states = told.filter(({ data }) => data.backup_id === id).map(({ data }) => data.status)
  expect(states.at(-1)).toBe('cancelled')
  expect(told.find(({ data }) => data.bytes_transferred === 12_345)?.data).toMatchObject({
    vm_name: 'web',
    status: 'in_progress',
  })
})
it('goes on behind the last event that a listener has had', async () => {
  // Somebody listens all the time, so that this hub looks.
  const all = listen((told) => told.filter(jobIsEnded).length >= 2)
  const jobIsEnded = ({ event, data }: Told) => event === 'job' && data.status === 'cancelled'
  const first = await start()
  const before = await listen((told) => told.some(({ data }) => data.backup_id === first))
  await alone.call('POST', `/backups/${first}/cancel`, {})
  alone.clock.advance(1)
  const second = await start()
  await alone.call('POST', `/backups/${second}/cancel`, {})
  const everything = await all
  const missed = await listen((told) => told.filter(jobIsEnded).length >= 2, { 'Last-Event-ID': before.at(-1)!.id })
  // Neither what it has had nor the state as a whole.
  expect(missed.filter(({ event }) => event === 'repository')).toEqual([])
  const at = everything.findIndex(({ id }) => id === missed[0]!.id)
  expect(missed).toEqual(everything.slice(at, at + missed.length))
  const other = await listen((told) => told.length > 0, { 'Last-Event-ID': 'another-7' })
  expect(other[0]!.event).toBe('repository')
})
it('tells of mounts, runs, and of what is removed', async () => {
  const repository = (
    await alone.call('POST', '/repositories', { name: 'short', type: 'local', config: { path: '/short' } })
  ).body.id
  const flow = (
    await alone.call('POST', '/protection-flows', {
      name: 'flow',
      flow_type: 'backup',
      target_type: 'vm',
      target_id: vm.contextId,
      repository_id: vm.repositoryId,
    })
  ).body.id
  const telling = listen((told) => told.some(({ data }) => data.removed))
  await new Promise((resolve) => setTimeout(resolve, 300))
  await alone.call('POST', `/protection-flows/${flow}/execute`)
  await new Promise((resolve) => setTimeout(resolve, 300))
  await alone.call('DELETE', `/repositories/${repository}`)
  const told = await telling
  expect(told).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ event: 'execution', data: expect.objectContaining({ flow_name: 'flow' }) }),
      expect.objectContaining({ event: 'repository', data: { id: repository, removed: true } }),
    ]),
  )
})
it('wants a token, and answers HEAD without listening', async () => {
  expect((await alone.app.request('/api/v1/events')).status).toBe(401)
  const head = await alone.app.request('/api/v1/events', {
    method: 'HEAD',
    headers: { Authorization: `Bearer ${alone.tokens.viewer}` },
  })
  expect([head.status, await head.text()]).toEqual([200, ''])
})
