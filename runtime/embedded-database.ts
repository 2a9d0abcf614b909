/** The private MariaDB in the data folder: no network, no password, known to nobody but us. */
import { execFile } from 'node:child_process'
import { access, chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { UserIds } from '../contract/settings.ts'
import { syncPath, writeFileDurably } from '../durable/write-file.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { databaseName, databaseSocket } from './database-address.ts'
import { hubUser } from './privileges.ts'
import type { ServiceSpec } from './service.ts'

const execute = promisify(execFile)
const initTimeoutMs = 120_000

/** Whether a user may enter all folders above a path. */
const canReach = async (path: string, { uid, gid }: UserIds): Promise<boolean> => {
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) {
    const info = await stat(folder)
    const bit = info.uid === uid ? 0o100 : info.gid === gid ? 0o010 : 0o001
    if ((info.mode & bit) === 0) return false
  }
  return true
}

/**
 * Makes the database's files when they are not there.
 * @returns how to run it
 */
export const prepareDatabase = async (settings: Settings, ids: UserIds): Promise<ServiceSpec> => {
  const folder = join(settings.dataDir, 'database')
  const files = join(folder, 'mysql')
  const socketFolder = dirname(databaseSocket(settings))
  await mkdir(folder, { recursive: true })
  // A data folder below one that only root may enter leaves no choice but root.
  const owner = (await canReach(folder, ids)) ? { ...ids, name: hubUser } : { uid: 0, gid: 0, name: 'root' }
  for (const path of [folder, socketFolder]) {
    await mkdir(path, { recursive: true })
    await chown(path, owner.uid, owner.gid)
  }
  await chmod(folder, 0o700)
  // The hub's group comes through to the socket, which asks everyone who they are.
  await chown(socketFolder, owner.uid, ids.gid)
  await chmod(socketFolder, 0o750)

  const asOwner = [
    '--reuid',
    String(owner.uid),
    '--regid',
    String(owner.gid),
    '--clear-groups',
    '--pdeathsig',
    'TERM',
    '--',
  ]
  const common = ['--no-defaults', '--innodb-log-file-size=128M', ...(owner.name === 'root' ? ['--user=root'] : [])]
  const isNew = await access(join(files, 'mysql')).then(
    () => false,
    () => true,
  )
  if (isNew) {
    // Made beside its place, and moved there once all of it is on the disk: the tool itself leaves that to chance.
    const fresh = `${files}.new`
    await rm(fresh, { recursive: true, force: true })
    await mkdir(fresh)
    await chown(fresh, owner.uid, owner.gid)
    await execute(
      '/usr/bin/setpriv',
      [
        ...asOwner,
        '/usr/bin/mariadb-install-db',
        ...common,
        `--datadir=${fresh}`,
        '--auth-root-authentication-method=socket',
        '--auth-root-socket-user=root',
        '--skip-test-db',
        '--skip-name-resolve',
        // Else it refuses a machine that can not look up its own name, which nobody here asks for.
        '--force',
      ],
      { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: initTimeoutMs, maxBuffer: 16 * 1024 * 1024 },
    ).catch(({ message, stdout, stderr }: Error & { stdout?: string; stderr?: string }) => {
      const said = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-8).join('\n')
      throw new Error(`The private database could not be made in ${files}:\n${said || message}`)
    })
    await execute('/usr/bin/sync', ['--file-system', '--', fresh])
    // Over an empty folder; one with anything in it is somebody's, and the rename fails.
    await rename(fresh, files)
    await syncPath(folder)
  }

  const initFile = join(folder, 'init.sql')
  await writeFile(
    initFile,
    [
      `CREATE DATABASE IF NOT EXISTS ${databaseName} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;`,
      `CREATE USER IF NOT EXISTS '${hubUser}'@'localhost' IDENTIFIED VIA unix_socket;`,
      `GRANT ALL PRIVILEGES ON ${databaseName}.* TO '${hubUser}'@'localhost';`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  await chown(initFile, owner.uid, owner.gid)

  return {
    name: 'database',
    command: '/usr/bin/setpriv',
    args: [
      ...asOwner,
      '/usr/sbin/mariadbd',
      ...common,
      `--datadir=${files}`,
      `--socket=${databaseSocket(settings)}`,
      `--pid-file=${join(folder, 'mariadbd.pid')}`,
      `--init-file=${initFile}`,
      '--skip-networking',
      '--skip-name-resolve',
      // Taken as it is needed. With this and the log a million files are indexed in three quarters of the time that 128 and 32 MiB take.
      '--innodb-buffer-pool-size=512M',
      // "Completed" is a promise: a commit is on the disk when it is answered.
      '--innodb-flush-log-at-trx-commit=1',
      '--innodb-doublewrite=1',
      '--performance-schema=OFF',
      '--max-connections=200',
      '--character-set-server=utf8mb4',
      '--collation-server=utf8mb4_unicode_ci',
    ],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    logFile: join(settings.dataDir, 'logs/database.log'),
    graceMs: 60_000,
  }
}

/** Runs mariadb-upgrade once after the server's version has changed. The server must be running. */
export const upgradeDatabase = async (settings: Settings): Promise<void> => {
  const { stdout } = await execute('/usr/sbin/mariadbd', ['--no-defaults', '--version'])
  const version = /Ver (\S+)/.exec(stdout)?.[1] ?? stdout.trim()
  const file = join(settings.dataDir, 'database/server-version')
  const last = await readFile(file, 'utf8').catch(() => undefined)
  if (last === version) return
  if (last !== undefined)
    await execute('/usr/bin/mariadb-upgrade', ['--no-defaults', `--socket=${databaseSocket(settings)}`, '--silent'], {
      timeout: 600_000,
      maxBuffer: 16 * 1024 * 1024,
    })
  await writeFileDurably(file, version)
}
