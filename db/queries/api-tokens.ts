import { and, count, desc, eq, isNull, lt, or } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { apiTokens, users } from '../schema/index.ts'
import type { UserRow } from './users.ts'

export type ApiTokenRow = typeof apiTokens.$inferSelect
export type ApiTokenWithUser = { token: ApiTokenRow; user: UserRow }

const withUser = (db: Executor) =>
  db.select({ token: apiTokens, user: users }).from(apiTokens).innerJoin(users, eq(users.id, apiTokens.userId))

export const findApiToken = async (db: Executor, id: string): Promise<ApiTokenWithUser | undefined> =>
  (await withUser(db).where(eq(apiTokens.id, id)))[0]

/** @param userId null lists those of all users. Newest first. */
export const listApiTokens = (db: Executor, userId: string | null): Promise<ApiTokenWithUser[]> =>
  withUser(db)
    .where(userId === null ? undefined : eq(apiTokens.userId, userId))
    .orderBy(desc(apiTokens.createdAt), desc(apiTokens.id))

export const countApiTokens = async (db: Executor, userId: string): Promise<number> =>
  (await db.select({ total: count() }).from(apiTokens).where(eq(apiTokens.userId, userId)))[0]!.total

export const insertApiToken = (
  db: Executor,
  row: Pick<ApiTokenRow, 'id' | 'userId' | 'name' | 'role' | 'secretHash' | 'expiresAt' | 'createdAt'>,
) => db.insert(apiTokens).values(row)

export const deleteApiToken = (db: Executor, id: string) => db.delete(apiTokens).where(eq(apiTokens.id, id))

/** Kept to the minute: a script that asks a hundred times a second must not write as often. */
const lastUseStepMs = 60_000
export const noteApiTokenUse = (db: Executor, id: string, at: Date) =>
  db
    .update(apiTokens)
    .set({ lastUsedAt: at })
    .where(
      and(
        eq(apiTokens.id, id),
        or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, new Date(at.getTime() - lastUseStepMs))),
      ),
    )

/** As answers show it: never its secret. */
export const toApiToken = ({ token, user }: ApiTokenWithUser) => ({
  id: token.id,
  name: token.name,
  role: token.role,
  username: user.username,
  created_at: token.createdAt.toISOString(),
  expires_at: token.expiresAt?.toISOString() ?? null,
  last_used_at: token.lastUsedAt?.toISOString() ?? null,
})
