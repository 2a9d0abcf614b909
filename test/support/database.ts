/** A fresh database on a test server. */
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Database, openDatabase } from '../../db/database.ts'
import { migrateDatabase } from '../../db/migrate.ts'
import { projectRoot } from '../../runtime/version.ts'

export const freshDatabase = async (socketPath: string): Promise<Database> => {
  const name = `t_${randomUUID().replaceAll('-', '')}`
  const admin = openDatabase({ socketPath, user: 'root', database: 'mysql' })
  await admin.pool.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`)
  await admin.close()
  const db = openDatabase({ socketPath, user: 'root', database: name })
  await migrateDatabase(db, fileURLToPath(new URL('db/migrations', projectRoot)))
  return db
}
