import { mkdirSync, linkSync, existsSync, writeFileSync, copyFileSync, constants } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { registerVm, runBackup, startHub } from '/work/main/test/support/hub.ts'
const hub = await startHub()
try {
  mkdirSync(join(hub.folder, 'vms/many'))
  copyFileSync(process.env.IMG ?? '/work/x/x.raw', join(hub.folder, 'vms/many/disk0.raw'))
  const vm = await registerVm(hub, 'many')
  const full = await runBackup(hub, vm, 'full')
  const { body: mount } = await hub.api('POST', '/restore/mount', { backup_id: full.backup_id, disk_index: 0 })
  writeFileSync('/tmp/keep.json', JSON.stringify({ mount, folder: hub.folder, pid: hub.pidOf('host-agent') }))
  while (!existsSync('/tmp/keep.stop')) { await sleep(500); await hub.api('GET', '/health') }
  await hub.api('DELETE', `/restore/${mount.mount_id}`)
} finally { await hub.stop() }
