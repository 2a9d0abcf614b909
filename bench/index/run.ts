/** What does it cost to know every file of a restore point, and how fast is one found? */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sliceBits } from '../../contract/index-slices.ts'
import { openDatabase } from '../../db/database.ts'
import { partOf } from '../../db/queries/file-places.ts'
import { fuse2fs } from '../../host-agent/volumes/fuse-drivers.ts'
import { databaseSocket } from '../../runtime/database-address.ts'
import { registerVm, runBackup, startHub } from '../../test/support/hub.ts'
import { filesystemImage, withLoop, withMounted } from '../../test/support/images.ts'
import { readSettings } from '../../wrangler-style.config.ts'
import { print, row, seconds } from '../support/measure.ts'

const files = Number(process.env.SENDENSE_INDEX_FILES ?? 1_000_000)
const rows = Number(process.env.SENDENSE_INDEX_ROWS ?? 10_000_000)
const filesystem = process.env.SENDENSE_INDEX_FILESYSTEM === 'ext4' ? 'ext4' : 'xfs'
/** Of one file, inode and name, and of all the rest. */
const [bytesEach, bytesBesides] = [filesystem === 'ext4' ? 4608 : 1536, 600 * 2 ** 20]
const folders = 1000
const changedEach = 100
const searches = 300
const filesOfName = 5
/** Names whose rows are made in one statement. */
const each = 400_000
const [ofFind, ofFirst, goalMs] = [1.5, 0.2, 200]

const python = (script: string, ...args: string[]) =>
  execFileSync('/usr/bin/env', ['python3', '-c', script, ...args], { stdio: 'inherit' })
/** Not waited for by blocking: the hub ends a connection that is silent for long. */
const timeOfFind = (path: string) =>
  seconds(async () => {
    const find = spawn('/usr/bin/find', [path, '-printf', '%p %y %s %T@\n'], { stdio: 'ignore' })
    await once(find, 'exit')
  })
const hub = await startHub()
/** Seconds that find takes over the restore point, mounted. What a sandbox has mounted nobody else sees: there the same driver over the same disk. */
const findOver = async (backupId: string): Promise<number> => {
  const { body: mount } = await hub.api('POST', '/restore/mount', { backup_id: backupId, disk_index: 0 })
  const [{ reader, mount_path }] = mount.partitions
  if (reader === 'host') {
    const taken = await timeOfFind(mount_path)
    await hub.api('DELETE', `/restore/${mount.mount_id}`)
    return taken
  }
  await hub.api('DELETE', `/restore/${mount.mount_id}`)
  const path = join(hub.folder, 'driver')
  mkdirSync(path)
  const [driver, ...args] = fuse2fs(join(hub.folder, 'vms/many/disk0.raw'), path)
  const running = spawn(driver!, args, { stdio: 'ignore' })
  try {
    while (statSync(path).dev === statSync(hub.folder).dev) await sleep(10)
    return await timeOfFind(path)
  } finally {
    execFileSync('/usr/bin/umount', [path])
    if (running.exitCode === null) await once(running, 'exit')
  }
}
try {
  const folder = join(hub.folder, 'vms/many')
  mkdirSync(folder)
  const image = join(folder, 'disk0.raw')
  filesystemImage(image, filesystem, bytesBesides + files * bytesEach, (root) =>
    python(
      `import os,sys\nfor d in range(${folders}):\n  p=os.path.join(sys.argv[1],"folder-%04d"%d); os.mkdir(p)\n  for f in range(${Math.ceil(files / folders)}): os.close(os.open(os.path.join(p,"report-%06d.txt"%(d*${Math.ceil(files / folders)}+f)),os.O_CREAT|os.O_WRONLY))`,
      root,
    ),
  )
  const vm = await registerVm(hub, 'many')
  const index = async (id: string): Promise<number> =>
    seconds(async () => {
      await hub.api('POST', `/backups/${id}/index`)
      for (;;) {
        const { file_index } = (await hub.api('GET', `/backups/${id}`)).body
        if (file_index.status === 'completed') return
        if (file_index.status === 'failed') throw new Error(file_index.error_message)
        await sleep(100)
      }
    })
  const full = await runBackup(hub, vm, 'full')
  const first = await index(full.backup_id)
  const find = await findOver(full.backup_id)
  withLoop(image, (device) =>
    withMounted(filesystem, device, (root) =>
      python(
        `import os,sys\nn=0\nfor d in os.listdir(sys.argv[1]):\n  p=os.path.join(sys.argv[1],d)\n  for f in os.listdir(p):\n    n+=1\n    if n%${changedEach}==0: open(os.path.join(p,f),"w").write("changed")`,
        root,
      ),
    ),
  )
  const next = await runBackup(hub, vm, 'incremental')
  const second = await index(next.backup_id)

  const settings = readSettings({ SENDENSE_DATA_DIR: join(hub.folder, 'data') })
  const db = openDatabase({ socketPath: databaseSocket(settings), user: 'root', database: 'sendense' })
  const connection = await db.pool.getConnection()
  const run = (statement: string, values: unknown[] = []) => connection.query(statement, values)
  const context = (await hub.api('GET', `/backups/${full.backup_id}`)).body.vm_backup_context_id
  await run(
    "INSERT INTO file_volumes (vm_backup_context_id, volume) SELECT ?, concat('bench ', seq) FROM seq_1_to_100",
    [context],
  )
  // A name is that of five files, in folders of other customers and on other machines.
  const names = Math.ceil(rows / filesOfName)
  const name = "concat('invoice-', s.seq, '-', lower(hex(s.seq * 2654435761 % 4294967296)), '.pdf')"
  // Any 53 bits: whoever searches asks for no name by its hash.
  const hash = `CAST(CONV(LEFT(SHA2(${name}, 256), 14), 16, 10) AS UNSIGNED) >> 3`
  const [[{ least }]] = (await run("SELECT min(id) AS least FROM file_volumes WHERE volume LIKE 'bench%'")) as any
  await run(
    `INSERT INTO file_folders (id, volume_id, path_hash, path)
     SELECT 10000000 + seq, ${least} + seq % 100, unhex(left(sha2(concat('/customers/', seq), 256), 32)), concat('/customers/', seq) FROM seq_1_to_${folders}`,
  )
  const partsOfFolder = partOf(0, sliceBits(rows / folders))
  for (let from = 1; from <= names; from += each) {
    const of = `SELECT 10000001 + (s.seq * 7919 + c.seq * 211) % ${folders} AS folder, ${hash} AS hash, ${name} AS name, s.seq
      FROM seq_${from}_to_${Math.min(names, from + each - 1)} s JOIN seq_1_to_${filesOfName} c`
    await run(
      `INSERT INTO file_versions SELECT folder, hash, name, 'f', seq, 1000000, 1, ${Number.MAX_SAFE_INTEGER} FROM (${of}) f ORDER BY folder, hash`,
    )
    const part = `${partsOfFolder} + FLOOR(hash / ${2 ** 53 / partsOfFolder})`
    for (const word of ["'invoice'", "'pdf'", 'seq', 'lower(hex(seq * 2654435761 % 4294967296))'])
      await run(
        `INSERT IGNORE INTO file_words SELECT ${word} AS word, folder, ${part} AS part FROM (${of}) f ORDER BY word, folder, part`,
      )
  }
  await run('ANALYZE TABLE file_words, file_versions')
  const taken: number[] = []
  for (let turn = 0; turn < searches; turn++) {
    const seq = 1 + Math.floor((turn * names) / searches)
    const word = ((seq * 2654435761) % 4294967296).toString(16)
    const asked = [`invoice ${word}`, word.slice(0, 5), `pdf ${seq}`, 'invoice', `report 00${turn}`][turn % 5]!
    taken.push(await seconds(() => hub.api('GET', `/search?${new URLSearchParams({ q: asked })}`)))
  }
  const p99 = taken.toSorted((a, b) => a - b)[Math.floor(searches * 0.99)]! * 1000
  connection.release()
  await db.close()
  print([
    row(
      `Index of ${files} files of ${filesystem}`,
      `${first.toFixed(1)} s`,
      `find -printf: ${find.toFixed(1)} s`,
      first / find,
      `≤ ${ofFind}`,
      first / find <= ofFind,
    ),
    row(
      `Index of the next point, one file in ${changedEach} changed`,
      `${second.toFixed(1)} s`,
      `the first: ${first.toFixed(1)} s`,
      second / first,
      `≤ ${ofFirst}`,
      second / first <= ofFirst,
    ),
    row(
      `Search over ${rows} files, p99`,
      `${p99.toFixed(0)} ms`,
      `goal ${goalMs} ms`,
      p99 / goalMs,
      '≤ 1',
      p99 <= goalMs,
    ),
  ])
} finally {
  await hub.stop()
}
