/** Opens the database. Everything that is kept by the hub lies here; the repository's files and the agent's ledger are the rest. */
import { createHash } from 'node:crypto'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import mysql from 'mysql2/promise'
import { HubError } from '../contract/errors.ts'
import { connectedSocket } from './own-bytes-socket.ts'
import * as schema from './schema/index.ts'

export type Orm = MySql2Database<typeof schema>
/** What queries take: the database or a transaction in it. */
export type Executor = Orm | Parameters<Parameters<Orm['transaction']>[0]>[0]

export type Database = {
  /** A statement that MariaDB ended by a deadlock or a lock wait is repeated. */
  orm: Orm
  /** Runs `work` in one transaction, which is repeated in the same way. */
  transaction: <T>(work: (tx: Executor) => Promise<T>) => Promise<T>
  /**
   * Runs `work` while holding a named lock that ends with this process, whatever happens to it. Locks of several hubs on one
   * database exclude each other. Never take a second one inside: order would matter.
   * @param waitSeconds how long to wait; past it `onBusy` decides, by default 503
   */
  withLock: <T>(name: string, waitSeconds: number, work: () => Promise<T>, onBusy?: () => T | Promise<T>) => Promise<T>
  ping: () => Promise<void>
  /** The pool below the ORM and the database's name, for libraries that bring their own SQL. */
  pool: mysql.Pool
  name: string
  close: () => Promise<void>
}

export type DatabaseAddress = { url: string } | { socketPath: string; user: string; database: string }

/** Enough for the requests a hub serves at once; the rest wait in the pool's queue. */
const connectionsMax = 32
/** Lock holders keep a connection for as long as they work; a pool of their own keeps them from starving the queries. */
const lockConnectionsMax = 48

const retryable = new Set(['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CHECKREAD'])
const unreachable =
  /^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|EACCES|PROTOCOL_CONNECTION_LOST|ER_SERVER_SHUTDOWN|ER_CON_COUNT_ERROR|ER_ACCESS_DENIED_ERROR)$/

/** The driver's error code behind what the ORM threw, e.g. `ER_DUP_ENTRY`. */
export const databaseErrorCode = (error: unknown): string | undefined => {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, sqlState } = at as { code?: unknown; sqlState?: unknown; syscall?: unknown }
    if (typeof code === 'string' && (sqlState !== undefined || /^(ER_|PROTOCOL_)/.test(code) || 'fatal' in at))
      return code
  }
  return undefined
}
export const isDuplicate = (error: unknown) => databaseErrorCode(error) === 'ER_DUP_ENTRY'
/** What the driver says of a connection that is gone has no code. */
const isLostConnection = (error: unknown): boolean =>
  error instanceof Error &&
  (((error as { fatal?: unknown }).fatal === true && !('code' in error)) || isLostConnection(error.cause))
export const isDatabaseDown = (error: unknown) =>
  unreachable.test(databaseErrorCode(error) ?? '') || isLostConnection(error)

/** MariaDB ends a transaction to let another one go on; nothing of it has happened then. */
const repeated = async <T>(work: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === 5 || !retryable.has(databaseErrorCode(error) ?? '')) throw error
    }
  }
}

/** A statement by itself is a transaction, too: two inserts into a table with several unique keys are enough for a deadlock. */
const repeatingStatements = (pool: mysql.Pool): mysql.Pool => {
  const run =
    (statement: (...args: never[]) => Promise<unknown>) =>
    (...args: never[]) =>
      repeated(() => statement.apply(pool, args))
  return Object.assign(Object.create(pool), { query: run(pool.query), execute: run(pool.execute) })
}

const lockBusy = () => {
  throw new HubError('SERVICE_UNAVAILABLE', 'Another operation on the same object is still running', {
    details: 'try again in a few seconds',
    headers: { 'Retry-After': '5' },
  })
}

export const openDatabase = (address: DatabaseAddress): Database => {
  const options: mysql.PoolOptions = {
    ...('url' in address ? { uri: address.url } : address),
    charset: 'utf8mb4',
    timezone: 'Z',
    supportBigNumbers: true,
    stream: connectedSocket,
    connectTimeout: 5_000,
  }
  const open = (connectionLimit: number) => {
    const pool = mysql.createPool({ ...options, connectionLimit })
    // Every session speaks UTC and refuses what it can't store, whatever the server's defaults are.
    pool.pool.on('connection', (connection) => {
      connection.query(
        "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 10, names utf8mb4 COLLATE utf8mb4_unicode_ci",
        () => undefined,
      )
    })
    return pool
  }
  const pool = open(connectionsMax)
  const locks = open(lockConnectionsMax)
  const orm = drizzle(repeatingStatements(pool), { schema, mode: 'planetscale', casing: 'snake_case' })
  // GET_LOCK is one namespace for the whole server; our database's name keeps hubs of other databases out.
  const name = 'url' in address ? decodeURIComponent(new URL(address.url).pathname.slice(1)) : address.database
  const lockName = (lock: string) =>
    `sendense-${createHash('sha256').update(`${name}\0${lock}`).digest('hex').slice(0, 40)}`

  const transaction: Database['transaction'] = (work) => repeated(() => orm.transaction(work))

  /** A holder's work is done before its lock is free: nobody but the next one who wants it waits for that. */
  const releasing = new Map<string, Promise<void>>()
  const release = (connection: mysql.PoolConnection, lock: string) => {
    const released = connection
      .query('SELECT RELEASE_LOCK(?)', [lockName(lock)])
      .then(
        () => connection.release(),
        // A connection that may still hold the lock is closed, which frees it.
        () => connection.destroy(),
      )
      .finally(() => {
        if (releasing.get(lock) === released) releasing.delete(lock)
      })
    releasing.set(lock, released)
  }

  const withLock: Database['withLock'] = async (lock, waitSeconds, work, onBusy = lockBusy) => {
    await releasing.get(lock)
    const connection = await locks.getConnection()
    let taken: boolean
    try {
      const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT GET_LOCK(?, ?) AS taken', [
        lockName(lock),
        waitSeconds,
      ])
      taken = rows[0]?.taken === 1
    } catch (error) {
      connection.destroy()
      throw error
    }
    if (!taken) {
      connection.release()
      return onBusy()
    }
    try {
      return await work()
    } finally {
      release(connection, lock)
    }
  }

  return {
    orm,
    transaction,
    withLock,
    pool,
    name,
    ping: async () => {
      await pool.query('SELECT 1')
    },
    close: async () => {
      await Promise.all(releasing.values())
      await Promise.all([pool.end(), locks.end()])
    },
  }
}
