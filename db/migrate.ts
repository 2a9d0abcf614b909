/** Brings a database to the present schema. Safe to run from several hubs at once and again after a crash in the middle. */
import { migrate } from 'drizzle-orm/mysql2/migrator'
import type { Database } from './database.ts'

/** @param folder holds the SQL files and their journal; every statement in them can be repeated (IF NOT EXISTS). */
export const migrateDatabase = (db: Database, folder: string) =>
  db.withLock('migrate', 120, () => migrate(db.orm, { migrationsFolder: folder }))
