/** How fast are downloads through the hub, beside nginx on the same fresh mount and tar on the same folder? */
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { filesystemImage, sh } from '../../test/support/images.ts'
import { freePorts } from '../../test/support/real-agent.ts'
import { median, print, rounds, row, seconds } from '../support/measure.ts'

const hub = await startHub()
const port = await freePorts(1)
try {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 1600 << 20, (root) => {
    const data = randomBytes(64 << 20)
    for (let at = 0; at < 16; at++) writeFileSync(join(root, 'large'), data, { flag: 'a' })
    mkdirSync(join(root, 'small'))
    for (let at = 0; at < 20_000; at++)
      writeFileSync(join(root, 'small', `file ${at}.txt`), `line of file ${at}\n`.repeat(100))
  })
  const vm = await registerVm(hub, 'vm')
  const backup = await runBackup(hub, vm, 'full')
  const config = join(hub.folder, 'nginx.conf')
  const fresh = async () =>
    (await hub.api('POST', '/restore/mount', { backup_id: backup.backup_id, disk_index: 0 })).body
  const release = async (id: string) => hub.api('DELETE', `/restore/${id}`)
  const curl = (url: string) =>
    seconds(async () =>
      execFileSync('/usr/bin/curl', ['-sf', '-o', '/dev/null', '-H', `Authorization: Bearer ${hub.token}`, url]),
    )

  const times = { hub: [] as number[], nginx: [] as number[], hubTar: [] as number[], tar: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    const first = await fresh()
    times.hub.push(await curl(`${hub.url}/api/v1/restore/${first.mount_id}/download?path=/large`))
    await release(first.mount_id)

    const second = await fresh()
    writeFileSync(
      config,
      `daemon off; user root; pid ${join(hub.folder, 'nginx.pid')}; error_log stderr; events {} http { access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${second.mount_path}/partition-0; } }`,
    )
    const nginx = spawn('/usr/sbin/nginx', ['-c', config, '-e', 'stderr'], { stdio: 'ignore' })
    await waitFor('nginx', async () => (await fetch(`http://127.0.0.1:${port}/none`)).status === 404, 10_000)
    times.nginx.push(await curl(`http://127.0.0.1:${port}/large`))
    const ended = new Promise((resolve) => nginx.once('exit', resolve))
    nginx.kill('SIGTERM')
    await ended
    await release(second.mount_id)

    const third = await fresh()
    times.hubTar.push(
      await curl(`${hub.url}/api/v1/restore/${third.mount_id}/download-directory?path=/small&format=tar.gz`),
    )
    await release(third.mount_id)

    const fourth = await fresh()
    times.tar.push(
      await seconds(async () =>
        sh('/bin/bash', [
          '-c',
          'tar czf - -C "$1" small | cat > /dev/null',
          'bash',
          `${fourth.mount_path}/partition-0`,
        ]),
      ),
    )
    await release(fourth.mount_id)
  }
  const shown = (values: number[]) => `${median(values).toFixed(2)} s`
  const [large, folderRatio] = [median(times.nginx) / median(times.hub), median(times.tar) / median(times.hubTar)]
  print([
    row(
      'Download of 1 GiB from a fresh mount',
      shown(times.hub),
      `nginx on the same fresh mount: ${shown(times.nginx)}`,
      large,
      '≥ 0.6',
      large >= 0.6,
    ),
    row(
      'Folder of 20 000 small files as tar.gz',
      shown(times.hubTar),
      `tar cz to a pipe: ${shown(times.tar)}`,
      folderRatio,
      '≥ 0.8',
      folderRatio >= 0.8,
    ),
  ])
} finally {
  await hub.stop()
}
