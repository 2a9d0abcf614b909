/** Brings the database, which runs by now, to where the hub can use it. */
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../db/database.ts'
import { migrateDatabase } from '../db/migrate.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { databaseAddress } from './database-address.ts'
import { upgradeDatabase } from './embedded-database.ts'
import { ensureFirstUser } from './first-user.ts'
import { rotateKeys } from './rotate-keys.ts'
import { waitFor } from './service.ts'
import { projectRoot } from './version.ts'

/** @returns where the first password is, for people */
export const prepareDatabaseContent = async (settings: Settings, isRotating: boolean): Promise<string> => {
  if (settings.databaseUrl === undefined) await upgradeDatabase(settings)
  const db = openDatabase(databaseAddress(settings, 'root'))
  try {
    await waitFor('the database', () => db.ping().then(() => true), 60_000)
    await migrateDatabase(db, fileURLToPath(new URL('db/migrations', projectRoot)))
    await rotateKeys(db, settings.keyFile, isRotating)
    return await ensureFirstUser(db, settings)
  } finally {
    await db.close()
  }
}
