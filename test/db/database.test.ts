import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, inject, it, vi } from 'vitest'
import { type Database, isDatabaseDown } from '../../db/database.ts'
import { loadRows } from '../../db/queries/load-rows.ts'
import { freshDatabase } from '../support/database.ts'

let db: Database
beforeAll(async () => {
  db = await freshDatabase(inject('databaseSocket'))
})
afterAll(() => db.close())

/** As a server does that is killed. */
const killOthers = async () => {
  const [rows] = await db.pool.query(
    'SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()',
  )
  for (const { id } of rows as { id: number }[]) await db.pool.query(`KILL CONNECTION ${id}`)
  // The driver learns of it with the next packet.
  await new Promise((resolve) => setTimeout(resolve, 50))
}

it('knows a connection that is lost in the middle of work for the database being down', async () => {
  const inTransaction = await db
    .transaction(async (tx) => {
      await tx.execute('SELECT 1')
      await killOthers()
      await tx.execute('SELECT 1')
    })
    .catch((error: unknown) => error)
  expect(inTransaction).toBeInstanceOf(Error)
  expect(isDatabaseDown(inTransaction)).toBe(true)
  await db.ping()
  expect(isDatabaseDown(new Error('something else'))).toBe(false)
})

it('frees a lock for the next one, also when its connection was lost', async () => {
  const busy = () => 'busy'
  const takeAtOnce = () => db.withLock<string>('a lock', 0, async () => 'taken', busy)
  expect(await db.withLock('a lock', 1, takeAtOnce)).toBe('busy')
  expect(await takeAtOnce()).toBe('taken')
  await db.withLock('a lock', 1, killOthers)
  expect(await takeAtOnce()).toBe('taken')
  await expect(
    db.withLock('a lock', 1, async () => {
      throw new Error('the work failed')
    }),
  ).rejects.toThrow('the work failed')
  expect(await takeAtOnce()).toBe('taken')
})

it('repeats a statement that was ended by a deadlock', async () => {
  await db.pool.query('CREATE TABLE pairs (id INT PRIMARY KEY, value INT NOT NULL)')
  await db.pool.query('INSERT INTO pairs SELECT seq, 0 FROM seq_1_to_1000')
  const other = await db.pool.getConnection()
  await other.beginTransaction()
  // The one that has changed more is let go on.
  await other.query('UPDATE pairs SET value = 1 WHERE id > 1')
  // Holds row 1, and waits for row 2.
  const statement = db.orm.execute(sql`UPDATE pairs SET value = value + 10 WHERE id <= 2 ORDER BY id`)
  const waiting =
    "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE 'UPDATE pairs%'"
  await vi.waitFor(
    async () => expect((await db.pool.query(waiting))[0]).toHaveLength(1),
    // MariaDB answers out of a cache that it only renews when nobody has asked for 100 ms.
    { interval: 150, timeout: 10_000 },
  )
  await other.query('UPDATE pairs SET value = 1 WHERE id = 1')
  await other.commit()
  other.release()
  await statement
  expect((await db.pool.query('SELECT value FROM pairs WHERE id <= 2'))[0]).toEqual([{ value: 11 }, { value: 11 }])
})

it('loads more rows at once than fit into a packet', async () => {
  const connection = await db.pool.getConnection()
  try {
    await connection.query('CREATE TEMPORARY TABLE many (number INT PRIMARY KEY, text VARCHAR(500))')
    const rows = Array.from({ length: 60_000 }, (_, number) => `${number}\t${`line ${number} `.repeat(32)}`)
    const bytes = rows.reduce((sum, row) => sum + row.length + 1, 0)
    expect(bytes).toBeGreaterThan(20 * 2 ** 20)
    await loadRows(connection, { table: 'many', columns: ['number', 'text'] }, rows)
    const [[found]] = (await connection.query(
      'SELECT COUNT(*) AS count, MIN(LENGTH(text)) > 200 AS isWhole FROM many',
    )) as unknown as [[{ count: number; isWhole: number }]]
    expect(found).toEqual({ count: rows.length, isWhole: 1 })
  } finally {
    connection.release()
  }
})

it('loads rows over several connections at once', async () => {
  const load = async (count: number, times: number) => {
    const connection = await db.pool.getConnection()
    try {
      await connection.query('CREATE TEMPORARY TABLE some (number INT PRIMARY KEY, text VARCHAR(50))')
      for (let time = 0; time < times; time++) {
        const rows = Array.from({ length: count }, (_, at) => `${time * count + at}\tline ${at} of so many`)
        await loadRows(connection, { table: 'some', columns: ['number', 'text'] }, rows)
      }
      const [[found]] = (await connection.query('SELECT COUNT(*) AS count FROM some')) as unknown as [
        [{ count: number }],
      ]
      expect(found.count).toBe(count * times)
    } finally {
      await connection.query('DROP TEMPORARY TABLE some')
      connection.release()
    }
  }
  // The large ones still wait to be sent when the small ones are over.
  await Promise.all([load(100_000, 3), load(100_000, 3), load(100, 300), load(100, 300)])
})
