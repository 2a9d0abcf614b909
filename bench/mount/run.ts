/** How long from the request to the first listing, beside a shell script that does the same steps? */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { filesystemImage } from '../../test/support/images.ts'
import { print, rounds, row, seconds, sideBySide } from '../support/measure.ts'

/** In namespaces of its own, as the product does it. */
const script = `set -e
cd "$1"
exec unshare --user --map-root-user --mount --net --ipc --uts --pid --fork --kill-child /bin/bash -c '
set -e
mount -t proc proc /proc; mount -t tmpfs work "$0/w"; : > "$0/w/x.raw"; mkdir "$0/w/m"
qemu-storage-daemon --daemonize --pidfile "$0/w/x.pid" --blockdev driver=file,node-name=f,filename="$1",read-only=on --blockdev driver=qcow2,node-name=q,file=f,read-only=on --export type=fuse,id=e,node-name=q,mountpoint="$0/w/x.raw",writable=off
blkid --probe --output export "$0/w/x.raw" > /dev/null
fuse2fs -o ro "$0/w/x.raw" "$0/w/m"
ls -l "$0/w/m" > /dev/null
date +%s%N > "$0/done"
' "$1" "$2"
`

/** What the other side leaves to be done after its answer (its unmounting, the next spare daemon) must not be counted here. */
const restMs = 1_500

const hub = await startHub()
/** A client that costs next to nothing, so that the hub is measured and not `fetch`. */
const connections = new Agent({ keepAlive: true })
const ask = (method: string, path: string, body?: object): Promise<any> =>
  new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${hub.token}`, 'Content-Type': 'application/json' }
    const outgoing = request(`${hub.url}/api/v1${path}`, { method, agent: connections, headers }, async (response) =>
      resolve(JSON.parse(await text(response))),
    )
    outgoing.once('error', reject).end(body && JSON.stringify(body))
  })
try {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 256 << 20, (root) => {
    for (let at = 0; at < 200; at++) writeFileSync(join(root, `file ${at}`), 'x')
  })
  const vm = await registerVm(hub, 'vm')
  const backup = await runBackup(hub, vm, 'full')
  const work = join(hub.folder, 'script')
  mkdirSync(join(work, 'w'), { recursive: true })
  writeFileSync(join(work, 'mount.sh'), script)
  const { ours, theirs } = await sideBySide(
    {
      ours: async () => {
        await sleep(restMs)
        let id = ''
        const took = await seconds(async () => {
          id = (await ask('POST', '/restore/mount', { backup_id: backup.backup_id, disk_index: 0 })).mount_id
          await ask('GET', `/restore/${id}/files`)
        })
        await hub.api('DELETE', `/restore/${id}`)
        return took
      },
      theirs: async () => {
        await sleep(restMs)
        const began = Date.now()
        execFileSync('/bin/bash', [join(work, 'mount.sh'), work, backup.disks[0].qcow2_path], { stdio: 'ignore' })
        return (Number(execFileSync('/usr/bin/cat', [join(work, 'done')], { encoding: 'utf8' })) / 1e6 - began) / 1000
      },
    },
    rounds * 9,
  )
  const ratio = ours / theirs
  print([
    row(
      'Mount to first listing',
      `${(ours * 1000).toFixed(0)} ms`,
      `a shell script with the same steps: ${(theirs * 1000).toFixed(0)} ms`,
      ratio,
      '≤ 1.5',
      ratio <= 1.5,
    ),
  ])
} finally {
  connections.destroy()
  await hub.stop()
}
