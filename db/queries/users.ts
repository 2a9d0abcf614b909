import { eq } from 'drizzle-orm'
import type { Role } from '../../contract/api/auth.ts'
import type { Executor } from '../database.ts'
import { users } from '../schema/index.ts'

export type UserRow = typeof users.$inferSelect

export const findUser = async (db: Executor, username: string): Promise<UserRow | undefined> => {
  const [row] = await db.select().from(users).where(eq(users.username, username))
  // The collation ignores case and accents; a login name does not.
  return row?.username === username ? row : undefined
}
export const findUserById = async (db: Executor, id: string): Promise<UserRow | undefined> =>
  (await db.select().from(users).where(eq(users.id, id)))[0]

export const noteLogin = (db: Executor, id: string, at: Date) =>
  db.update(users).set({ lastLoginAt: at }).where(eq(users.id, id))

export const insertUser = (
  db: Executor,
  user: { id: string; username: string; passwordHash: string; role: Role; displayName: string | null },
) => db.insert(users).values(user)

export const setPassword = (db: Executor, id: string, passwordHash: string) =>
  db.update(users).set({ passwordHash }).where(eq(users.id, id))

/** The user as answers show it. */
export const toUser = ({ id, username, role, displayName }: UserRow) => ({
  id,
  username,
  role,
  display_name: displayName,
})
