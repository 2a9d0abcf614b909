/** Do the lists of a site with 5 000 VMs, 500 flows and 1 000 000 backups stay quick? */
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { showFlows } from '../../db/queries/flows.ts'
import { protectionOf } from '../../db/queries/protection.ts'
import { diskCounts, groupsOf, lastBackups, listVms } from '../../db/queries/vms.ts'
import { startHub } from '../../test/support/hub.ts'
import { fillSite } from '../support/large-site.ts'
import { print, row, seconds } from '../support/measure.ts'

const [vms, flows, backups] = [5_000, 500, 1_000_000]
const requests = 100
/** Not counted: a hub that has just been started is not what a site looks at. */
const warmUp = 60
const goalMs = 200

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!
const hub = await startHub()
const agent = new Agent({ keepAlive: true })
/** To the last byte; what a client then makes of the text is not the hub's. */
const ask = async (path: string) => {
  const request = get(`${hub.url}/api/v1${path}`, { agent, headers: { authorization: `Bearer ${hub.token}` } })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`)
  await once(response.resume(), 'end')
}
try {
  const site = await fillSite(hub, { vms, flows, backups })
  const { db } = site

  const contexts = async (limit?: number) => {
    const { rows } = await listVms(db.orm, {}, limit === undefined ? {} : { limit })
    const ids = rows.map(({ contextId }) => contextId)
    await Promise.all([
      groupsOf(db.orm, ids),
      diskCounts(db.orm, ids),
      lastBackups(db.orm, ids),
      protectionOf(db.orm, ids),
    ])
  }
  const measure = async (what: string, path: string, bare: () => Promise<unknown>) => {
    const [ours, floor]: [number[], number[]] = [[], []]
    for (let turn = 0; turn < requests + warmUp; turn++) {
      const [over, by] = [await seconds(() => ask(path)), await seconds(bare)]
      if (turn < warmUp) continue
      ours.push(over)
      floor.push(by)
    }
    const [p99, p50, bareP50] = [percentile(ours, 0.99) * 1000, percentile(ours, 0.5), percentile(floor, 0.5)]
    return row(
      `${what}: p99`,
      `${p99.toFixed(0)} ms (p50 ${(p50 * 1000).toFixed(1)} ms)`,
      `the bare SQL: p50 ${(bareP50 * 1000).toFixed(1)} ms`,
      p50 / bareP50,
      `< ${goalMs} ms, ≤ 2.0`,
      p99 < goalMs && p50 / bareP50 <= 2,
    )
  }
  const what = `${vms} VMs, ${backups} backups`
  print([
    await measure(`GET /vm-contexts, all of ${what}`, '/vm-contexts', () => contexts()),
    await measure(`GET /vm-contexts?limit=100 of ${what}`, '/vm-contexts?limit=100', () => contexts(100)),
    await measure(`GET /protection-flows, all of ${flows}`, '/protection-flows', () => showFlows(db.orm)),
  ])
  await site.close()
} finally {
  agent.destroy()
  await hub.stop()
}
