/** A site that is larger than any that could be backed up in a benchmark's time: rows alone, of backups without files. */
import { join } from 'node:path'
import { type Database, openDatabase } from '../../db/database.ts'
import { databaseSocket } from '../../runtime/database-address.ts'
import type { Hub } from '../../test/support/hub.ts'
import { readSettings } from '../../wrangler-style.config.ts'

type Size = { vms: number; flows: number; backups: number }
const jobsEach = 100_000

/** @returns the database, and what takes it all away again: the doctor, which looks at a hub when it stops, would name each of them */
export const fillSite = async (
  hub: Hub,
  { vms, flows, backups }: Size,
): Promise<{ db: Database; close: () => Promise<void> }> => {
  const { body } = await hub.api('POST', '/repositories', {
    name: 'main',
    type: 'local',
    config: { path: hub.repositoryPath },
  })
  const repository = body.id as string
  const settings = readSettings({ SENDENSE_DATA_DIR: join(hub.folder, 'data') })
  const db = openDatabase({ socketPath: databaseSocket(settings), user: 'root', database: 'sendense' })
  const run = (statement: string, values: unknown[] = []) => db.pool.query(statement, values)
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
  for (let from = 0; from < backups; from += jobsEach)
    await run(
      `INSERT INTO backup_jobs (id, vm_backup_context_id, vm_context_id, repository_id, vm_name, backup_type, status, repository_path, created_at, completed_at)
       SELECT concat('bench-', seq), concat('ctx-backup-', 1 + seq % ${vms}), concat('ctx-', 1 + seq % ${vms}), ?, concat('vm ', 1 + seq % ${vms}),
              'full', 'completed', '/r', now(3) - interval seq second, now(3) - interval seq second FROM seq_${from + 1}_to_${Math.min(backups, from + jobsEach)}`,
      [repository],
    )
  await run('ANALYZE TABLE backup_jobs, vm_replication_contexts, vm_backup_contexts, protection_flows')
  return {
    db,
    close: async () => {
      await run('DELETE FROM protection_flows')
      await run('SET FOREIGN_KEY_CHECKS = 0')
      await run('TRUNCATE backup_jobs')
      await run('DELETE FROM vm_backup_contexts')
      await db.close()
    },
  }
}
