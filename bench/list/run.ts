/** Does the list of one VM's backups stay fast when the table is large? */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from '../../db/database.ts'
import { databaseSocket } from '../../runtime/database-address.ts'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { blankImage } from '../../test/support/images.ts'
import { readSettings } from '../../wrangler-style.config.ts'
import { median, print, row, seconds } from '../support/measure.ts'

const requests = 200
const hub = await startHub()
try {
  mkdirSync(join(hub.folder, 'vms/vm'))
  blankImage(join(hub.folder, 'vms/vm/disk0.raw'), 8 << 20)
  const vm = await registerVm(hub, 'vm')
  const backup = await runBackup(hub, vm, 'full')
  const settings = readSettings({ SENDENSE_DATA_DIR: join(hub.folder, 'data') })
  const db = openDatabase({ socketPath: databaseSocket(settings), user: 'root', database: 'sendense' })
  /** Rows of other VMs, 50 backups each, and 50 of ours, each with a disk. */
  const fill = async (from: number, to: number) => {
    for (let at = from; at < to; at += 1000) {
      const jobs: unknown[] = []
      const disks: unknown[] = []
      for (let number = at; number < Math.min(to, at + 1000); number++) {
        const [id, name] = [`bench-${number}`, number < 50 ? 'vm' : `vm ${Math.floor(number / 50)}`]
        jobs.push([
          id,
          backup.vm_backup_context_id,
          backup.vm_context_id,
          backup.repository_id,
          name,
          'full',
          'completed',
          '/r',
          new Date(Date.now() - number * 1000),
        ])
        disks.push([id, backup.vm_backup_context_id, 0, 2000, 1, `bench-${number}-disk`, 'completed'])
      }
      await db.pool.query(
        'INSERT INTO backup_jobs (id, vm_backup_context_id, vm_context_id, repository_id, vm_name, backup_type, status, repository_path, created_at) VALUES ?',
        [jobs],
      )
      await db.pool.query(
        'INSERT INTO backup_disks (backup_job_id, vm_backup_context_id, disk_index, vmware_disk_key, size_gb, file_base, status) VALUES ?',
        [disks],
      )
    }
    await db.pool.query('ANALYZE TABLE backup_jobs, backup_disks')
  }
  const p50 = async () => {
    const times: number[] = []
    for (let request = 0; request < requests; request++)
      times.push(await seconds(() => hub.api('GET', '/backups?vm_name=vm')))
    return median(times)
  }
  await fill(0, 1000)
  await p50()
  const few = await p50()
  await fill(1000, 100_000)
  const many = await p50()
  // They have no files: the doctor, which looks at the hub when it stops, would name each of them.
  await db.pool.query("DELETE FROM backup_jobs WHERE id LIKE 'bench-%'")
  await db.close()
  const shown = (value: number) => `${(value * 1000).toFixed(1)} ms`
  print([
    row(
      'GET /backups?vm_name= with 100 000 backups, p50',
      shown(many),
      `with 1 000: ${shown(few)}`,
      many / few,
      '≤ 1.5',
      many / few <= 1.5,
    ),
  ])
} finally {
  await hub.stop()
}
