/** Do the lists of a site with 5 000 VMs, 500 flows and 1 000 000 backups stay quick? */
import { join } from 'node:path'
import { openDatabase } from '../../db/database.ts'
import { showFlows } from '../../db/queries/flows.ts'
import { protectionOf } from '../../db/queries/protection.ts'
import { diskCounts, groupsOf, lastBackups, listVms } from '../../db/queries/vms.ts'
import { databaseSocket } from '../../runtime/database-address.ts'
import { startHub } from '../../test/support/hub.ts'
import { readSettings } from '../../wrangler-style.config.ts'
import { print, row, seconds } from '../support/measure.ts'

const [vms, flows, backups] = [5_000, 500, 1_000_000]
const requests = 100
/** Not counted: a hub that has just been started is not what a site looks at. */
const warmUp = 60
const goalMs = 200

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!
const hub = await startHub()
try {
  const { body } = await hub.api('POST', '/repositories', {
    name: 'main',
    type: 'local',
    config: { path: hub.repositoryPath },
  })
  const settings = readSettings({ SENDENSE_DATA_DIR: join(hub.folder, 'data') })
  const db = openDatabase({ socketPath: databaseSocket(settings), user: 'root', database: 'sendense' })
  const run = (statement: string, values: unknown[] = []) => db.pool.query(statement, values)
  const repository = body.id as string
  await run(
    `INSERT INTO vm_replication_contexts (context_id, vm_name, vmware_vm_id, vm_path, vcenter_host, datacenter)
     SELECT concat('ctx-', seq), concat('vm ', seq), concat('vm-', seq), concat('/dc/vm/', seq), 'vc.example', 'dc' FROM seq_1_to_${vms}`,
  )
  await run(
    `INSERT INTO vm_backup_contexts (context_id, repository_id, vm_name, vcenter_host)
     SELECT concat('ctx-backup-', seq), ?, concat('vm ', seq), 'vc.example' FROM seq_1_to_${vms}`,
    [repository],
  )
  await run(
    `INSERT INTO protection_flows (id, name, flow_type, target_type, target_id, repository_id)
     SELECT concat('flow-', seq), concat('flow ', seq), 'backup', 'vm', concat('ctx-', seq), ? FROM seq_1_to_${flows}`,
    [repository],
  )
  const each = 100_000
  for (let from = 0; from < backups; from += each)
    await run(
      `INSERT INTO backup_jobs (id, vm_backup_context_id, vm_context_id, repository_id, vm_name, backup_type, status, repository_path, created_at, completed_at)
       SELECT concat('bench-', seq), concat('ctx-backup-', 1 + seq % ${vms}), concat('ctx-', 1 + seq % ${vms}), ?, concat('vm ', 1 + seq % ${vms}),
              'full', 'completed', '/r', now(3) - interval seq second, now(3) - interval seq second FROM seq_${from + 1}_to_${from + each}`,
      [repository],
    )
  await run('ANALYZE TABLE backup_jobs, vm_replication_contexts, vm_backup_contexts, protection_flows')

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
      const [over, by] = [await seconds(() => hub.api('GET', path)), await seconds(bare)]
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
  const site = `${vms} VMs, ${backups} backups`
  print([
    await measure(`GET /vm-contexts, all of ${site}`, '/vm-contexts', () => contexts()),
    await measure(`GET /vm-contexts?limit=100 of ${site}`, '/vm-contexts?limit=100', () => contexts(100)),
    await measure(`GET /protection-flows, all of ${flows}`, '/protection-flows', () => showFlows(db.orm)),
  ])
  // They have no files: the doctor, which looks at the hub when it stops, would name each of them.
  await run('DELETE FROM protection_flows')
  await run('SET FOREIGN_KEY_CHECKS = 0')
  await run('TRUNCATE backup_jobs')
  await run('DELETE FROM vm_backup_contexts')
  await db.close()
} finally {
  await hub.stop()
}
