/** How many bytes does an incremental store for 1 % of changed clusters? */

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { sparseDisk } from '../support/disks.ts'
import { print, row } from '../support/measure.ts'

const diskBytes = 2 * 2 ** 30
const clusterBytes = 65_536

const hub = await startHub()
try {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  const image = join(folder, 'disk0.raw')
  sparseDisk(image, diskBytes, 60)
  const vm = await registerVm(hub, 'vm')
  await runBackup(hub, vm, 'full')
  const clusters = diskBytes / clusterBytes
  const changed = Math.floor(clusters / 100)
  const fd = openSync(image, 'r+')
  // One page in each: the least that makes a cluster a changed one.
  for (let number = 0; number < changed; number++)
    writeSync(fd, randomBytes(4096), 0, 4096, Math.floor((number * clusters) / changed) * clusterBytes)
  closeSync(fd)
  const backup = await runBackup(hub, vm, 'incremental')
  const stored: number = backup.size_bytes
  const ratio = stored / (changed * clusterBytes)
  print([
    row(
      'Incremental with 1 % of the clusters changed: bytes stored',
      `${(stored / 2 ** 20).toFixed(1)} MiB`,
      `the changed 64 KiB clusters: ${((changed * clusterBytes) / 2 ** 20).toFixed(1)} MiB`,
      ratio,
      '≤ 1.15',
      ratio <= 1.15,
    ),
  ])
} finally {
  await hub.stop()
}
