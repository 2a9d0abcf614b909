import { and, asc, count, eq, inArray, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { RepositoryStorage } from '../../contract/agent.ts'
import type { repository, repositoryTypes, Storage } from '../../contract/api/repositories.ts'
import type { Executor } from '../database.ts'
import { backupCopies, backupJobs, backupPolicies, backupRepositories, protectionFlows } from '../schema/index.ts'

export type RepositoryRow = typeof backupRepositories.$inferSelect

export const usedPercent = (used: number, total: number) =>
  total === 0 ? 0 : Math.round((used / total) * 10_000) / 100

export const toStorage = (id: string, measured: RepositoryStorage, backups: number, at: Date): Storage => ({
  repository_id: id,
  total_bytes: measured.total_bytes,
  used_bytes: measured.used_bytes,
  available_bytes: measured.available_bytes,
  used_percent: usedPercent(measured.used_bytes, measured.total_bytes),
  mount_point: measured.mount_point,
  backup_count: backups,
  last_check_at: at.toISOString(),
})

/** A password is never shown, only that there is one. */
const shownConfig = ({ config, repositoryType }: RepositoryRow): Record<string, unknown> => {
  const { password_encrypted, ...shown } = config
  if (repositoryType === 'local') return { ...shown, disk_path: config.path }
  return password_encrypted === undefined ? shown : { ...shown, password_set: true }
}

/** @param storage null when it could not be measured now */
export const toRepository = (
  row: RepositoryRow,
  storage: Storage | null,
  backups: number,
): z.infer<typeof repository> => ({
  id: row.id,
  name: row.name,
  type: row.repositoryType,
  enabled: row.enabled,
  config: shownConfig(row),
  is_immutable: row.isImmutable,
  immutable_config: row.immutableConfig ?? null,
  min_retention_days: row.minRetentionDays,
  storage_info: storage,
  backup_count: backups,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})

/** Where its files lie on its storage host. */
export const repositoryPath = (row: RepositoryRow) => String(row.config.path ?? row.config.mount_point)

/** By name. */
export const listRepositories = (
  db: Executor,
  filter: { type?: (typeof repositoryTypes)[number] | undefined; enabled?: boolean | undefined } = {},
): Promise<RepositoryRow[]> =>
  db
    .select()
    .from(backupRepositories)
    .where(
      and(
        filter.type === undefined ? undefined : eq(backupRepositories.repositoryType, filter.type),
        filter.enabled === undefined ? undefined : eq(backupRepositories.enabled, filter.enabled),
      ),
    )
    .orderBy(asc(backupRepositories.name))

export const findRepository = async (db: Executor, id: string): Promise<RepositoryRow | undefined> =>
  (await db.select().from(backupRepositories).where(eq(backupRepositories.id, id)))[0]

/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertRepository = (db: Executor, values: typeof backupRepositories.$inferInsert) =>
  db.insert(backupRepositories).values(values)
export const updateRepository = (db: Executor, id: string, change: Partial<typeof backupRepositories.$inferInsert>) =>
  db
    .update(backupRepositories)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(backupRepositories.id, id))
/** @returns false when somebody else has changed it meanwhile */
export const markStorageState = async (
  tx: Executor,
  { id, storageState }: RepositoryRow,
  now: RepositoryRow['storageState'],
): Promise<boolean> => {
  const [result] = await tx
    .update(backupRepositories)
    .set({ storageState: now })
    .where(and(eq(backupRepositories.id, id), eq(backupRepositories.storageState, storageState)))
  return result.affectedRows === 1
}
export const deleteRepository = (db: Executor, id: string) =>
  db.delete(backupRepositories).where(eq(backupRepositories.id, id))

/** Backups of each repository, whatever their state, copies included. */
export const backupCounts = async (db: Executor, ids: string[]): Promise<Map<string, number>> => {
  const counts = new Map(ids.map((id) => [id, 0]))
  if (ids.length === 0) return counts
  const own = await db
    .select({ id: backupJobs.repositoryId, rows: count() })
    .from(backupJobs)
    .where(inArray(backupJobs.repositoryId, ids))
    .groupBy(backupJobs.repositoryId)
  const copies = await db
    .select({ id: backupCopies.repositoryId, rows: count() })
    .from(backupCopies)
    .where(inArray(backupCopies.repositoryId, ids))
    .groupBy(backupCopies.repositoryId)
  for (const { id, rows } of [...own, ...copies]) counts.set(id, (counts.get(id) ?? 0) + rows)
  return counts
}

/** Names of what still uses a repository. */
export const usersOfRepository = async (
  db: Executor,
  id: string,
): Promise<{ policies: string[]; flows: string[] }> => ({
  policies: (
    await db
      .select({ name: backupPolicies.name })
      .from(backupPolicies)
      .where(eq(backupPolicies.primaryRepositoryId, id))
  ).map(({ name }) => name),
  flows: (
    await db.select({ name: protectionFlows.name }).from(protectionFlows).where(eq(protectionFlows.repositoryId, id))
  ).map(({ name }) => name),
})

export const storeMeasurement = (db: Executor, id: string, measured: RepositoryStorage, at: Date) =>
  db
    .update(backupRepositories)
    .set({
      totalSizeBytes: measured.total_bytes,
      usedSizeBytes: measured.used_bytes,
      availableSizeBytes: measured.available_bytes,
      lastCheckAt: at,
    })
    .where(eq(backupRepositories.id, id))
