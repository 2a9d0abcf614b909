/** What does it cost to know every file of a restore point, and how fast is one found? */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nameHash, sliceBits, sliceOf } from '../../contract/index-slices.ts'
import { type Database, openDatabase } from '../../db/database.ts'
import { ensureVolume } from '../../db/queries/file-index.ts'
import { hashOfFolder } from '../../db/queries/file-paths.ts'
import { partOf } from '../../db/queries/file-places.ts'
import { FolderSlices } from '../../db/queries/file-slices.ts'
import { columnText, loadRows } from '../../db/queries/load-rows.ts'
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
const volumes = 100
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
/** Until a restore point's files are known. */
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
/** An indexed restore point of another machine. */
const indexOfCustomers = async () => {
  const folder = join(hub.folder, 'vms/customers')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 16 * 2 ** 20, () => undefined)
  const { backup_id } = await runBackup(hub, await registerVm(hub, 'customers'), 'full')
  await index(backup_id)
  const { body } = await hub.api('GET', `/backups/${backup_id}`)
  return { backupId: backup_id as string, contextId: body.vm_backup_context_id as string }
}
/** As if that point had all of these files. A name is that of five files, in folders of other customers. */
const fillIndex = async (db: Database, { backupId, contextId }: Awaited<ReturnType<typeof indexOfCustomers>>) => {
  const [[{ at }]] = (await db.pool.query('SELECT point_at AS at FROM file_indexes WHERE backup_job_id = ?', [
    backupId,
  ])) as any
  const bits = sliceBits(rows / folders)
  const volumeIds: number[] = []
  for (let volume = 0; volume < volumes; volume++)
    volumeIds.push(await ensureVolume(db.orm, contextId, `bench ${volume}`))
  for (let folder = 0; folder < folders; folder++) {
    const path = `/customers/${folder}`
    await db.pool.query('INSERT INTO file_folders (id, volume_id, path_hash, path) VALUES ?', [
      [[firstFolder + folder, volumeIds[folder % volumes], hashOfFolder(path), path]],
    ])
  }
  const connection = await db.pool.getConnection()
  const load = (table: string, columns: string[], lines: string[]) => loadRows(connection, { table, columns }, lines)
  for (let folder = 0; folder < folders; folder++) {
    const slices = new FolderSlices([])
    for (let from = 0; from < rows / filesOfName; from += folders)
      for (let copy = 0; copy < filesOfName; copy++) {
        const seq = from + ((folder + copyStep * copy) % folders) + 1
        const name = nameOf(seq)
        slices.put(bits, sliceOf(nameHash(name), bits), { entry: [name, 'f', seq, 1_000_000], firstAt: at })
      }
    const lines = [...slices.changed()].map(({ least, files }) =>
      [firstFolder + folder, least, bits, columnText(files)].join('\t'),
    )
    await load('file_slices', ['folder_id', 'least', 'bits', 'files'], lines)
  }
  // In the order of the table: in any other one, filling it would take hours.
  const loadWords = (lines: string[]) => load('file_words', ['word', 'folder_id', 'part'], lines.sort())
  const placesOf = (seq: number): string[] =>
    Array.from({ length: filesOfName }, (_, copy) => {
      const folder = (((seq - 1 - copyStep * copy) % folders) + folders) % folders
      return `${firstFolder + folder}\t${partOf(nameHash(nameOf(seq)), bits)}`
    })
  const names = Math.ceil(rows / filesOfName)
  const wordsBy = async (prefixes: readonly string[], word: (seq: number) => string) => {
    for (const prefix of prefixes) {
      const lines: string[] = []
      for (let seq = 1; seq <= names; seq++)
        if (word(seq).startsWith(prefix)) for (const place of placesOf(seq)) lines.push(`${word(seq)}\t${place}`)
      await loadWords(lines)
    }
  }
  const digits = [...'123456789abcdef']
  await wordsBy([...'123456789'], String)
  await wordsBy(['0', ...digits], wordOf)
  for (const word of ['invoice', 'pdf'])
    for (let folder = 0; folder < folders; folder++)
      await loadWords(
        Array.from({ length: 2 ** bits }, (_, slice) => `${word}\t${firstFolder + folder}\t${2 ** bits + slice}`),
      )
  connection.release()
}
/** Far beyond those of the machine that was indexed. */
const firstFolder = 10_000_000
const copyStep = 211
const nameOf = (seq: number) => `invoice-${seq}-${wordOf(seq)}.pdf`
const wordOf = (seq: number) => ((seq * 2654435761) % 4294967296).toString(16)

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
  await fillIndex(db, await indexOfCustomers())
  const names = Math.ceil(rows / filesOfName)
  const taken: number[] = []
  for (let turn = 0; turn < searches; turn++) {
    const seq = 1 + Math.floor((turn * names) / searches)
    const word = wordOf(seq)
    const asked = [`invoice ${word}`, word.slice(0, 5), `pdf ${seq}`, 'invoice', `report 00${turn}`][turn % 5]!
    taken.push(await seconds(() => hub.api('GET', `/search?${new URLSearchParams({ q: asked })}`)))
  }
  const p99 = taken.toSorted((a, b) => a - b)[Math.floor(searches * 0.99)]! * 1000
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
