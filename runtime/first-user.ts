/** The first user. Its password is random and lies in one file, or is the one that the settings name. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Database } from '../db/database.ts'
import { findUser, insertUser, setPassword } from '../db/queries/users.ts'
import { writeFileDurably } from '../durable/write-file.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { hashPassword, newPassword, verifyPassword } from './passwords.ts'

export const firstUsername = 'admin'
export const passwordFile = (settings: Settings) => join(settings.dataDir, 'admin-password')

/** @returns where the password is, for people */
export const ensureFirstUser = async (db: Database, settings: Settings): Promise<string> => {
  const user = await findUser(db.orm, firstUsername)
  const { adminPassword } = settings
  if (user && adminPassword === undefined)
    return `as set before; at first start it was written to ${passwordFile(settings)}`
  if (user && adminPassword !== undefined) {
    if (!(await verifyPassword(adminPassword, user.passwordHash)))
      await setPassword(db.orm, user.id, await hashPassword(adminPassword))
    return 'in SENDENSE_ADMIN_PASSWORD'
  }
  const password = adminPassword ?? newPassword()
  // The file first: a password that nobody can read would lock everyone out.
  if (adminPassword === undefined) await writeFileDurably(passwordFile(settings), `${password}\n`)
  await insertUser(db.orm, {
    id: randomUUID(),
    username: firstUsername,
    passwordHash: await hashPassword(password),
    role: 'admin',
    displayName: 'Administrator',
  })
  return adminPassword === undefined ? `in ${passwordFile(settings)}` : 'in SENDENSE_ADMIN_PASSWORD'
}
