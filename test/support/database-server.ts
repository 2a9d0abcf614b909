/** A private MariaDB in memory, for tests. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDatabase } from '../../db/database.ts'
import { waitFor } from '../../runtime/service.ts'

export type TestDatabaseServer = { socketPath: string; stop: () => Promise<void> }

export const startDatabaseServer = async (): Promise<TestDatabaseServer> => {
  const folder = mkdtempSync('/dev/shm/sendense-db-')
  const common = ['--no-defaults', `--datadir=${join(folder, 'data')}`, '--user=root', '--innodb-log-file-size=8M']
  execFileSync(
    '/usr/bin/mariadb-install-db',
    [
      ...common,
      '--auth-root-authentication-method=socket',
      '--auth-root-socket-user=root',
      '--skip-test-db',
      '--skip-name-resolve',
      '--force',
    ],
    { stdio: 'ignore' },
  )
  const socketPath = join(folder, 'db.sock')
  const server = spawn(
    '/usr/bin/setpriv',
    [
      '--pdeathsig',
      'TERM',
      '--',
      '/usr/sbin/mariadbd',
      ...common,
      `--socket=${socketPath}`,
      `--pid-file=${join(folder, 'pid')}`,
      '--skip-networking',
      '--innodb-flush-log-at-trx-commit=0',
      '--max-connections=500',
      '--character-set-server=utf8mb4',
      '--collation-server=utf8mb4_unicode_ci',
    ],
    { stdio: 'ignore' },
  )
  const db = openDatabase({ socketPath, user: 'root', database: 'mysql' })
  await waitFor('the test database', () => db.ping().then(() => true), 60_000)
  await db.close()
  return {
    socketPath,
    stop: async () => {
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true })
    },
  }
}
