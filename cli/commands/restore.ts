/** mount, mounts, access, ls, get, get-dir, search, versions, fetch, unmount */
import { createWriteStream } from 'node:fs'
import { readFile, rename, rm, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SingleBar } from 'cli-progress'
import type { Command } from 'commander'
import { call, open, withQuery } from '../client.ts'
import { Failure } from '../failure.ts'
import { type Column, print, printJson, show, size, when } from '../output.ts'
import { readSession } from '../session.ts'

type Common = { json: boolean }

const mountColumns: Column[] = [
  ['MOUNT', (mount) => mount.mount_id],
  ['VM', (mount) => mount.vm_name],
  ['BACKUP', (mount) => mount.backup_id],
  ['DISK', (mount) => (mount.all_disks ? 'all' : mount.disk_index)],
  ['FILESYSTEM', (mount) => mount.filesystem_type],
  ['ENDS WITHOUT USE', (mount) => when(mount.expires_at)],
]
const fileColumns: Column[] = [
  ['MODE', (file) => file.mode],
  ['SIZE', (file) => (file.type === 'directory' ? '' : size(file.size))],
  ['MODIFIED', (file) => when(file.modified_time)],
  ['NAME', (file) => `${file.name}${file.type === 'directory' ? '/' : ''}`],
]

const foundColumns: Column[] = [
  ['VM', (file) => file.vm_name],
  ['PATH', (file) => `${file.path}${file.type === 'directory' ? '/' : ''}`],
  ['VOLUME', (file) => file.volume],
  ['SIZE', (file) => (file.type === 'directory' ? '' : size(file.size))],
  ['MODIFIED', (file) => when(file.modified_time)],
  ['NEWEST BACKUP', (file) => file.backup_id],
]
/** Of a digest in a table; --json has all of it. */
const digestShown = 12
const versionColumns: Column[] = [
  ['MODIFIED', (version) => when(version.modified_time)],
  ['SIZE', (version) => size(version.size)],
  ['VOLUME', (version) => version.volume],
  ['SHA-256', (version) => version.sha256?.slice(0, digestShown) ?? '-'],
  ['POINTS', (version) => version.point_count],
  ['NEWEST BACKUP', (version) => version.last_backup_id],
]

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Into a file beside its place first: what was cut off never looks whole. */
const save = async (
  from: { path: string; body?: object },
  target: string,
  isForced: boolean,
  isQuiet: boolean,
): Promise<number> => {
  if (!isForced && (await isThere(target))) throw new Failure('usage', `${target} is there already; use --force`)
  const response = await open(from.path, from.body)
  const total = Number(response.headers.get('content-length') ?? 0)
  const bar =
    isQuiet || !process.stderr.isTTY
      ? undefined
      : new SingleBar({
          format: total > 0 ? '{bar} {percentage} %  {text}' : '{text}',
          barsize: 30,
          stream: process.stderr,
        })
  let bytes = 0
  const count = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length
      bar?.update(bytes, { text: size(bytes) })
      done(null, chunk)
    },
  })
  const partial = `${target}.part`
  bar?.start(total || 1, 0, { text: '' })
  try {
    await pipeline(Readable.fromWeb(response.body as never), count, createWriteStream(partial))
    await rename(partial, target)
    return bytes
  } catch (error) {
    await rm(partial, { force: true })
    throw new Failure('failed', `The download was cut off: ${(error as Error).message}`)
  } finally {
    bar?.stop()
  }
}

/** From files, for an argument is read by everybody on the machine. */
const secretsOf = async (passwordFile: string | undefined, keyFile: string | undefined) => [
  ...(passwordFile === undefined ? [] : [{ password: (await readFile(passwordFile, 'utf8')).split('\n')[0]! }]),
  ...(keyFile === undefined ? [] : [{ key_file: (await readFile(keyFile)).toString('base64') }]),
]

export const addRestoreCommands = (program: Command) => {
  program
    .command('mount <backup>')
    .description('open a backup for browsing: all of its disks as the guest saw them, or one')
    .option('-d, --disk <index>', 'this disk alone')
    .option('-r, --repository <id>', 'read this copy')
    .option('--password-file <file>', 'a file whose first line opens encrypted volumes')
    .option('--key-file <file>', 'a key file that opens encrypted volumes')
    .action(async (backup_id: string, { disk, repository, passwordFile, keyFile }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const mount = await call('POST', '/restore/mount', {
        backup_id,
        ...(disk === undefined ? { all_disks: true } : { disk_index: Number(disk) }),
        secrets: await secretsOf(passwordFile, keyFile),
        ...(repository === undefined ? {} : { repository_id: repository }),
      })
      if (json) printJson(mount)
      else print(mount.mount_id)
    })
  program
    .command('mounts')
    .description('what is open')
    .action(async (_, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', '/restore/mounts')
      show(json, answer, answer.mounts, mountColumns, 'Nothing is mounted.')
    })
  program
    .command('access <mount>')
    .description('where and how file managers and scripts read it over WebDAV and SFTP')
    .action(async (mount: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const door = await call('POST', `/restore/${mount}/access`)
      const url = new URL(door.url, (await readSession()).url).href
      if (json) printJson({ ...door, url })
      else {
        print(`${url}\nuser ${door.username}, until ${when(door.expires_at)}, password\n${door.password}`)
        if (door.sftp) {
          const { port, host_key } = door.sftp
          print(`sftp -P ${port} ${door.username}@${new URL(url).hostname}, whose key is ${host_key}`)
        }
      }
    })
  program
    .command('ls <mount> [path]')
    .description('files of a folder')
    .option('-p, --partition <number>', 'which partition')
    .action(async (mount: string, path: string | undefined, { partition }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', withQuery(`/restore/${mount}/files`, { path: path ?? '/', partition }))
      show(json, answer, answer.files, fileColumns, 'The folder is empty.')
    })
  const target = (path: string, suffix = '') => (basename(path.replace(/\/+$/, '')) || 'root') + suffix
  program
    .command('get <mount> <path>')
    .description('download a file')
    .option('-p, --partition <number>', 'which partition')
    .option('-o, --output <file>', 'where to; the name of the file otherwise')
    .option('-f, --force', 'write over what is there', false)
    .action(async (mount: string, path: string, { partition, output, force }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const file: string = output ?? target(path)
      const from = { path: withQuery(`/restore/${mount}/download`, { path, partition }) }
      const bytes = await save(from, file, force, json)
      if (json) printJson({ file, bytes })
      else print(`${file}: ${size(bytes)}`)
    })
  program
    .command('get-dir <mount> <path...>')
    .description('download a folder, or several files and folders, as an archive')
    .option('-p, --partition <number>', 'which partition')
    .option('--format <format>', 'zip, tar.gz or tar.zst', 'tar.gz')
    .option('--checksums', 'add _checksums.sha256, for sha256sum -c', false)
    .option('-o, --output <file>', 'where to; the name of the folder otherwise')
    .option('-f, --force', 'write over what is there', false)
    .action(
      async (mount: string, paths: string[], { partition, format, checksums, output, force }, command: Command) => {
        const { json } = command.optsWithGlobals<Common>()
        const [path] = paths as [string, ...string[]]
        const many = paths.length > 1
        const file: string = output ?? (many ? `files.${format}` : target(path, `.${format}`))
        const number = partition === undefined ? {} : { partition: Number(partition) }
        const from = many
          ? {
              path: `/restore/${mount}/archive`,
              body: { ...number, paths: paths.map((one) => ({ path: one })), format, checksums },
            }
          : { path: withQuery(`/restore/${mount}/download-directory`, { path, partition, format, checksums }) }
        const bytes = await save(from, file, force, json)
        if (json) printJson({ file, bytes })
        else print(`${file}: ${size(bytes)}`)
      },
    )
  program
    .command('search [words...]')
    .description('find files in all restore points by words of their names, or by what they hold')
    .option('--sha256 <digest>', 'with this content')
    .option('--vm <name>', 'of this machine')
    .option('--deleted', 'also what the newest restore point has no more', false)
    .option('-n, --limit <number>', 'as many', '50')
    .action(async (words: string[], { sha256, vm, deleted, limit }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const q = words.length === 0 ? undefined : words.join(' ')
      const answer = await call('GET', withQuery('/search', { q, sha256, vm_name: vm, deleted, limit }))
      show(json, answer, answer.files, foundColumns, 'No file fits.')
    })
  program
    .command('versions <vm> <path>')
    .description('every version of a file that restore points have')
    .action(async (vm_name: string, path: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', withQuery('/files/history', { vm_name, path }))
      show(json, answer, answer.versions, versionColumns, 'No restore point that is indexed has it.')
    })
  program
    .command('fetch <backup> <volume> <path>')
    .description('download a file of a backup in one step, as search names it')
    .option('-o, --output <file>', 'where to; the name of the file otherwise')
    .option('-f, --force', 'write over what is there', false)
    .action(async (backup: string, volume: string, path: string, { output, force }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const file: string = output ?? target(path)
      const from = { path: withQuery(`/backups/${encodeURIComponent(backup)}/file`, { volume, path }) }
      const bytes = await save(from, file, force, json)
      if (json) printJson({ file, bytes })
      else print(`${file}: ${size(bytes)}`)
    })
  program
    .command('unmount <mount>')
    .description('close it again')
    .action(async (mount: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('DELETE', `/restore/${mount}`)
      if (json) printJson(answer)
      else print(answer.message)
    })
}
