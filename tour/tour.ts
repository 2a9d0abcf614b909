/**
 * The tour: makes a small real VM of two disks, backs it up in full and incrementally, mounts both points, gets a file and a folder
 * back and compares everything. Usage: npm run tour (against a hub that `npm start` runs on this machine)
 */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, rmdir, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { unzipSync } from 'fflate'
import { readSettings } from '../wrangler-style.config.ts'

const settings = readSettings(process.env)
const base = `${settings.hubUrl}/api/v1`
const began = performance.now()
const say = (text: string) =>
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}\n`)
const size = (bytes: number) =>
  bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex')
const tool = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

type Json = any
let token = ''
const api = async (method: string, path: string, body?: object): Promise<Json> => {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: {
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'Content-Type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const answer = (await response.json()) as Json
  if (!response.ok) throw new Error(`${method} ${path}: ${answer.code} ${answer.error} ${answer.details}`)
  return answer
}
const download = async (path: string) => {
  const response = await fetch(`${base}${path}`, { headers: { Authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response
}

const withFilesystem = async (image: string, type: string, work: (folder: string) => Promise<void>) => {
  const folder = await mkdtemp(join(tmpdir(), 'sendense-tour-'))
  tool('/usr/bin/mount', '-t', type, '-o', 'loop', image, folder)
  try {
    await work(folder)
  } finally {
    tool('/usr/bin/umount', folder)
    await rmdir(folder)
  }
}

const oddNames = [
  'a name with spaces.txt',
  '"quotes" & <tags>.txt',
  'ünïcödé 💾.txt',
  '-starts-with-a-dash',
  `${'long '.repeat(40)}.txt`,
]
const expected = new Map<string, string>()
const make = async (folder: string, name: string, content: string) => {
  await mkdir(dirname(join(folder, name)), { recursive: true })
  await writeFile(join(folder, name), content)
  expected.set(`/${name}`, sha256(content))
}

const logIn = async () => {
  const password = settings.adminPassword ?? (await readFile(join(settings.dataDir, 'admin-password'), 'utf8')).trim()
  token = (await api('POST', '/auth/login', { username: 'admin', password })).token
}

const backUp = async (vmName: string, repositoryId: string, type: string) => {
  const { backup_id } = await api('POST', '/backups', {
    vm_name: vmName,
    repository_id: repositoryId,
    backup_type: type,
  })
  for (let shown = ''; ; await new Promise((resolve) => setTimeout(resolve, 250))) {
    const backup = await api('GET', `/backups/${backup_id}`)
    const line = `${type} backup: ${backup.current_phase} ${Math.round(backup.progress_percent)} %`
    if (line !== shown) say(`  ${line}`)
    shown = line
    if (backup.status === 'completed') {
      const seconds = (Date.parse(backup.completed_at) - Date.parse(backup.created_at)) / 1000
      say(
        `  completed in ${seconds.toFixed(1)} s; ${size(backup.size_bytes)} stored for ${backup.total_size_gb} GiB of disks`,
      )
      return backup
    }
    if (backup.status === 'failed' || backup.status === 'cancelled')
      throw new Error(`the backup ${backup.status}: ${backup.error_message}`)
  }
}

/** Mounts, lists, compares every file, downloads a folder, unmounts. */
const look = async (backup: Json, diskIndex: number) => {
  const asked = performance.now()
  const mount = await api('POST', '/restore/mount', { backup_id: backup.backup_id, disk_index: diskIndex })
  const path = `/restore/${mount.mount_id}`
  const { files, total_count } = await api('GET', `${path}/files?recursive=true&limit=1000`)
  say(
    `  ${backup.backup_type} point, disk ${diskIndex} (${mount.filesystem_type}) is open after ${Math.round(performance.now() - asked)} ms: ${total_count} entries`,
  )
  let compared = 0
  for (const file of files as Json[]) {
    if (file.type !== 'file' || !expected.has(file.path)) continue
    const content = Buffer.from(
      await (await download(`${path}/download?path=${encodeURIComponent(file.path)}`)).arrayBuffer(),
    )
    const same = sha256(content) === expected.get(file.path)
    if (!same && backup.backup_type === 'incremental') throw new Error(`${file.path} differs from the source`)
    if (same) compared++
  }
  say(`  ${compared} files downloaded, equal by sha256`)
  if (diskIndex === 0) {
    const archive = Buffer.from(await (await download(`${path}/download-directory?path=/documents`)).arrayBuffer())
    const unpacked = unzipSync(archive)
    const equal = Object.entries(unpacked).filter(
      ([name, data]) => sha256(Buffer.from(data)) === expected.get(`/documents/${name}`),
    ).length
    say(`  folder /documents downloaded as zip: ${equal} files equal`)
  }
  await api('DELETE', path)
}

const work = await mkdtemp(join(tmpdir(), 'sendense-tour-'))
const vmName = `tour-${Date.now()}`
const vmFolder = join(work, 'vms', vmName)
let sources: string | undefined
try {
  await logIn()
  say(`logged in at ${settings.hubUrl}`)

  await mkdir(vmFolder, { recursive: true })
  const [disk0, disk1] = [join(vmFolder, 'disk0.raw'), join(vmFolder, 'disk1.raw')]
  await writeFile(disk0, '')
  await truncate(disk0, 96 * 2 ** 20)
  tool('/usr/sbin/mkfs.ext4', '-q', '-F', '-L', 'system', disk0)
  await withFilesystem(disk0, 'ext4', async (folder) => {
    for (let number = 1; number <= 300; number++)
      await make(folder, `documents/report ${number}.txt`, `report ${number}\n`.repeat(number))
    for (const name of oddNames) await make(folder, `documents/${name}`, `content of ${name}`)
  })
  await writeFile(disk1, '')
  await truncate(disk1, 48 * 2 ** 20)
  tool('/usr/sbin/mkfs.ntfs', '-q', '-F', '-Q', '-L', 'data', disk1)
  await withFilesystem(disk1, 'ntfs-3g', (folder) => make(folder, 'shares/plan.txt', 'the plan'))
  say(`made the VM ${vmName}: an ext4 disk with ${expected.size - 1} files and an NTFS disk`)

  // The node reads its list of sources anew for each request; ours is taken back at the end.
  sources = await readFile(settings.sourcesFile, 'utf8').catch(() => '{"sources":{}}')
  const withTour = JSON.parse(sources)
  withTour.sources.tour = { kind: 'image', folder: join(work, 'vms') }
  await writeFile(settings.sourcesFile, JSON.stringify(withTour, null, 2))
  const known = (await api('GET', '/vmware-credentials')).credentials.find(
    (one: Json) => one.vcenter_host === 'image:tour',
  )
  const credential =
    known?.id ??
    (
      await api('POST', '/vmware-credentials', {
        credential_name: 'tour',
        vcenter_host: 'image:tour',
        username: '',
        password: '',
        datacenter: 'images',
      })
    ).credential.id
  await api('POST', '/discovery/add-vms', { credential_id: credential, vm_names: [vmName] })
  const repositoryPath = join(work, 'repository')
  await mkdir(repositoryPath)
  const repository = await api('POST', '/repositories', {
    name: vmName,
    type: 'local',
    config: { path: repositoryPath },
  })
  say('registered the VM and a repository')

  const full = await backUp(vmName, repository.repository_id, 'full')
  await withFilesystem(disk0, 'ext4', async (folder) => {
    await make(folder, 'documents/report 7.txt', 'report 7, second edition\n')
    await make(folder, 'documents/new.txt', 'not in the full')
  })
  say('changed one file and added one')
  const incremental = await backUp(vmName, repository.repository_id, 'incremental')
  for (const backup of [full, incremental]) for (const index of [0, 1]) await look(backup, index)
  for (const disk of incremental.disks ?? (await api('GET', `/backups/${incremental.backup_id}`)).disks)
    say(
      `  ${tool('/usr/bin/qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', disk.qcow2_path, disk.original_path).trim()} (disk ${disk.disk_index}, by stock qemu-img)`,
    )

  const { freed_bytes } = await api('DELETE', `/backups/${full.backup_id}?cascade=true`)
  await api('DELETE', `/repositories/${repository.repository_id}`)
  say(`deleted both backups again, ${size(freed_bytes)} freed. The tour is over.`)
} catch (error) {
  process.exitCode = 1
  say(`the tour ended early: ${error instanceof Error ? error.message : String(error)}`)
  if ((error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED') say('Start the hub first: npm start')
} finally {
  if (sources !== undefined) await writeFile(settings.sourcesFile, sources)
  await rm(work, { recursive: true, force: true })
}
