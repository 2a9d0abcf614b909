/** How fast are downloads through the hub, beside nginx on the same fresh mount and tar on the same folder? */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inside } from '../../host-agent/sandbox/protocol.ts'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { filesystemImage, sh } from '../../test/support/images.ts'
import { freePorts } from '../../test/support/real-agent.ts'
import { entering, readerOfMount } from '../../test/support/sandbox.ts'
import { print, row, seconds, sideBySide } from '../support/measure.ts'

const execute = promisify(execFile)
const hub = await startHub()
const port = await freePorts(1)
/** More than the file that is downloaded and its way through the page cache. */
const usedMemoryBytes = 2 * 1024 ** 3
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
  /** Both sides read from the disk: a backup that somebody restores from was not read a moment ago. */
  const forgetCached = () =>
    sh('/usr/bin/dd', [`if=${backup.disks[0].qcow2_path}`, 'iflag=nocache', 'count=0', 'status=none'])
  /**
   * Memory that the machine's own host has taken back costs several times as much to use as memory that was used a moment ago. Both sides
   * find the latter, or whoever comes second wins.
   */
  const useMemory = () =>
    sh('/usr/bin/dd', ['if=/dev/zero', 'of=/dev/null', `bs=${usedMemoryBytes}`, 'count=1', 'status=none'])
  const fresh = async () => {
    forgetCached()
    useMemory()
    return (await hub.api('POST', '/restore/mount', { backup_id: backup.backup_id, disk_index: 0 })).body
  }
  const curl = (url: string) =>
    seconds(() => execute('/usr/bin/curl', ['-sf', '-o', '/dev/null', '-H', `Authorization: Bearer ${hub.token}`, url]))

  const onFreshMount = async (measure: (mountId: string) => Promise<number>) => {
    const { mount_id } = await fresh()
    try {
      return await measure(mount_id)
    } finally {
      await hub.api('DELETE', `/restore/${mount_id}`)
    }
  }
  /** Where the mount is: in the sandbox that reads it. */
  const root = inside.root(0)
  const there = (...command: string[]): [string, string[]] => {
    const [program, ...args] = entering(readerOfMount(hub.pidOf('host-agent')))
    return [program, [...args, ...command]]
  }
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  const config = `daemon off; user root; pid ${inside.guest}/nginx.pid; error_log ${inside.guest}/nginx.log; events {} http { ${temporary.join(' ')} access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${root}; } }`
  /** It wants to know root by name, whom nobody has named there. */
  const nginxInside = `mount -t tmpfs etc /etc
echo root:x:0:0::/:/bin/sh > /etc/passwd
echo root:x:0: > /etc/group
exec /usr/sbin/nginx -p ${inside.guest} -c ${inside.guest}/nginx.conf -e ${inside.guest}/nginx.log`
  const throughNginx = async () => {
    sh(...there('/usr/bin/tee', `${inside.guest}/nginx.conf`), config)
    const nginx = spawn(...there('/usr/bin/unshare', '--mount', '/bin/bash', '-ec', nginxInside), {
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => nginx.once('exit', resolve))
    try {
      await waitFor('nginx', async () => (await fetch(`http://127.0.0.1:${port}/none`)).status === 404, 10_000)
      return await curl(`http://127.0.0.1:${port}/large`)
    } finally {
      nginx.kill('SIGTERM')
      await ended
    }
  }

  const file = await sideBySide({
    hub: () => onFreshMount((id) => curl(`${hub.url}/api/v1/restore/${id}/download?path=/large`)),
    nginx: () => onFreshMount(throughNginx),
  })
  const tar = ['-c', 'tar czf - -C "$1" small | cat > /dev/null', 'bash']
  const many = await sideBySide({
    hub: () =>
      onFreshMount((id) => curl(`${hub.url}/api/v1/restore/${id}/download-directory?path=/small&format=tar.gz`)),
    tar: () => onFreshMount(() => seconds(() => execute(...there('/bin/bash', ...tar, root)))),
  })
  const shown = (value: number) => `${value.toFixed(2)} s`
  const [fileRatio, folderRatio] = [file.nginx / file.hub, many.tar / many.hub]
  print([
    row(
      'Download of 1 GiB from a fresh mount',
      shown(file.hub),
      `nginx on the same fresh mount: ${shown(file.nginx)}`,
      fileRatio,
      '≥ 0.6',
      fileRatio >= 0.6,
    ),
    row(
      'Folder of 20 000 small files as tar.gz',
      shown(many.hub),
      `tar cz to a pipe: ${shown(many.tar)}`,
      folderRatio,
      '≥ 0.8',
      folderRatio >= 0.8,
    ),
  ])
} finally {
  await hub.stop()
}
