import { and, asc, eq, sql } from 'drizzle-orm'
import type { Role } from '../../contract/api/auth.ts'
import type { Executor } from '../database.ts'
import { prepared } from '../prepared.ts'
import { users } from '../schema/index.ts'

export type UserRow = typeof users.$inferSelect

export const findUser = async (db: Executor, username: string): Promise<UserRow | undefined> => {
  const [row] = await db.select().from(users).where(eq(users.username, username))
  // The collation ignores case and accents; a login name does not.
  return row?.username === username ? row : undefined
}
const userById = prepared((db) =>
  db
    .select()
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare(),
)
export const findUserById = async (db: Executor, id: string): Promise<UserRow | undefined> =>
  (await userById(db).execute({ id }))[0]

export const noteLogin = (db: Executor, id: string, at: Date) =>
  db.update(users).set({ lastLoginAt: at }).where(eq(users.id, id))

export const insertUser = (
  db: Executor,
  user: { id: string; username: string; passwordHash: string; role: Role; displayName: string | null },
) => db.insert(users).values(user)

const newVersion = sql`${users.tokenVersion} + 1`

export const setPassword = (db: Executor, id: string, passwordHash: string) =>
  db.update(users).set({ passwordHash, tokenVersion: newVersion }).where(eq(users.id, id))

export const listUsers = (db: Executor): Promise<UserRow[]> => db.select().from(users).orderBy(asc(users.username))

/** @param endsTokens whether tokens that were issued before are good no more */
export const updateUser = (
  db: Executor,
  id: string,
  change: Pick<UserRow, 'role' | 'displayName' | 'isActive'>,
  endsTokens: boolean,
) =>
  db
    .update(users)
    .set({ ...change, ...(endsTokens ? { tokenVersion: newVersion } : {}) })
    .where(eq(users.id, id))

/** Ids of the admins who can log in, locked until the transaction ends: two that demote each other must not both succeed. */
export const lockActiveAdmins = async (tx: Executor): Promise<string[]> =>
  (
    await tx
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.role, 'admin'), eq(users.isActive, true)))
      .for('update')
  ).map(({ id }) => id)

/** The user as answers show it. */
export const toUser = ({ id, username, role, displayName }: UserRow) => ({
  id,
  username,
  role,
  display_name: displayName,
})

/** The user as an admin sees it. */
export const toManagedUser = (row: UserRow) => ({
  ...toUser(row),
  is_active: row.isActive,
  last_login_at: row.lastLoginAt?.toISOString() ?? null,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})
