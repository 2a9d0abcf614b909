/** A fresh database for one test file. */
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { type Database, openDatabase } from '../../db/database.ts'
import { migrateDatabase } from '../../db/migrate.ts'

export const freshDatabase = async (): Promise<Database> => {
  const socketPath = inject('databaseSocket')
  const name = `t_${randomUUID().replaceAll('-', '')}`
  const admin = openDatabase({ socketPath, user: 'root', database: 'mysql' })
  await admin.pool.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`)
  await admin.close()
  const db = openDatabase({ socketPath, user: 'root', database: name })
  await migrateDatabase(db, fileURLToPath(new URL('../../db/migrations', import.meta.url)))
  return db
}
