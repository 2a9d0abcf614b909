/** Mounts network shares that hold repositories. Options are ours but for a few that cannot hurt; secrets go by a file that only root reads. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../contract/errors.ts'
import { type NetworkShare, sourceOf } from '../contract/shares.ts'
import { plainPath } from './attach/mount-table.ts'
import { program, run } from './exec.ts'
import { writeDurably } from './ledger.ts'
import { ToolError } from './run-tool.ts'

/** A server that does not answer is given up after this. */
const mountTimeoutMs = 30_000

/**
 * `soft`: a server that is gone gives an error after timeo x retrans, which fails a backup, instead of holding every process that touches the share
 * for ever. Nothing is lost by it: completed is what was flushed without an error and read back.
 */
const fixedOptions = {
  nfs: ['soft', 'nosuid', 'nodev', 'noexec'],
  // nobrl: QEMU's locks stay on this host; as mandatory locks of the server they would keep us from reading what we write.
  // A share knows no owners: whoever is handed a file by us (qemu-nbd's user) may open it, and nobody else gets through the folders to it.
  cifs: ['soft', 'nobrl', 'nosuid', 'nodev', 'noexec', 'uid=0', 'gid=0', 'file_mode=0666', 'dir_mode=0700'],
}
/** In tenths of a second; the kernel's own is a minute, three times. */
const defaultTimeouts = ['timeo=50', 'retrans=2']
const helpers = {
  nfs: { path: '/usr/sbin/mount.nfs', debianPackage: 'nfs-common' },
  cifs: { path: '/usr/sbin/mount.cifs', debianPackage: 'cifs-utils' },
}

const failed = (details: string, cause?: unknown) =>
  new HubError('REPOSITORY_TEST_FAILED', 'The repository can not be used', { details, cause })

const named = (options: readonly string[], name: string) => options.some((option) => option.startsWith(`${name}=`))

/** @param credentials path of the file with user and password */
export const optionsOf = (share: NetworkShare, credentials: string): string[] => {
  const { type, options } = share
  if (type === 'nfs')
    return [
      ...fixedOptions.nfs,
      `vers=${share.nfs_version}`,
      ...defaultTimeouts.filter((option) => !named(options, option.split('=')[0]!)),
      ...options,
    ]
  return [
    ...fixedOptions.cifs,
    ...(named(options, 'vers') ? [] : ['vers=3.1.1']),
    ...(share.username === '' ? ['guest'] : [`credentials=${credentials}`]),
    ...options.filter((option) => option !== 'guest'),
  ]
}

/** What is mounted at a path, by the kernel's table. */
const mountedAt = async (path: string): Promise<{ type: string; source: string } | undefined> => {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line !== '')
  const line = lines.findLast((entry) => plainPath(entry.split(' ')[4]!) === path)
  const [, type, source] = line?.split(' - ')[1]?.match(/^(\S+) (\S+)/) ?? []
  return type === undefined ? undefined : { type, source: plainPath(source!) }
}

/** Mounts a share, if it is not mounted there already. @returns whether this call mounted it @throws REPOSITORY_TEST_FAILED */
export const mountShare = async (share: NetworkShare, credentialsFolder: string, id: string): Promise<boolean> => {
  const { type, mount_point: at } = share
  const [helper, source] = [helpers[type], sourceOf(share)]
  const present = await mountedAt(at)
  if (present) {
    if (present.type.startsWith(type) && present.source.replace(/(?<=.)\/$/, '') === source.replace(/(?<=.)\/$/, ''))
      return false
    throw failed(`${at} is mounted already, from ${present.source}`)
  }
  if (!existsSync(helper.path))
    throw failed(`this host can not mount ${type}: install the package ${helper.debianPackage}`)
  await mkdir(credentialsFolder, { recursive: true, mode: 0o700 })
  await mkdir(at, { recursive: true, mode: 0o700 })
  const credentials = join(credentialsFolder, `${id}.cifs`)
  if (share.type === 'cifs' && share.username !== '')
    await writeDurably(
      credentials,
      [
        `username=${share.username}`,
        `password=${share.password}`,
        ...(share.domain ? [`domain=${share.domain}`] : []),
        '',
      ].join('\n'),
    )
  try {
    await run(program.mount, ['-t', type, '-o', optionsOf(share, credentials).join(','), '--', source, at], {
      timeoutMs: mountTimeoutMs,
    })
  } catch (error) {
    await rm(credentials, { force: true })
    const said = error instanceof ToolError ? error.stderr.trim().split('\n')[0] : ''
    throw failed(`${source} can not be mounted: ${said || 'it does not answer'}`.slice(0, 400), error)
  }
  return true
}

/** Unmounts a share and forgets its secret. What is still used, or does not answer, is let go lazily. */
export const unmountShare = async (
  { mount_point: at }: NetworkShare,
  credentialsFolder: string,
  id: string,
): Promise<void> => {
  if (await mountedAt(at))
    await run(program.umount, ['--', at], { timeoutMs: mountTimeoutMs }).catch(() =>
      run(program.umount, ['--lazy', '--', at], { timeoutMs: mountTimeoutMs }),
    )
  await rm(join(credentialsFolder, `${id}.cifs`), { force: true })
}
