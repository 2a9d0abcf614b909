import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { type Database, isDatabaseDown } from '../../db/database.ts'
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
  const inLock = await db.withLock('a lock', 1, killOthers).catch((error: unknown) => error)
  expect(inLock).toBeInstanceOf(Error)
  expect(isDatabaseDown(inLock)).toBe(true)
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
