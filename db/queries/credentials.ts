import { and, asc, count, desc, eq, ne, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { credential } from '../../contract/api/credentials.ts'
import type { Executor } from '../database.ts'
import { vmReplicationContexts, vmwareCredentials } from '../schema/index.ts'
import { iso } from './vms.ts'

export type CredentialRow = typeof vmwareCredentials.$inferSelect

export const toCredential = (row: CredentialRow): z.infer<typeof credential> => ({
  id: row.id,
  name: row.credentialName,
  credential_name: row.credentialName,
  vcenter_host: row.vcenterHost,
  username: row.username,
  datacenter: row.datacenter,
  is_active: row.isActive,
  is_default: row.isDefault,
  has_password: row.passwordEncrypted !== '',
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
  created_by: row.createdBy,
  last_used: iso(row.lastUsed),
  usage_count: row.usageCount,
})

/** Default first, then by name. */
export const listCredentials = (db: Executor): Promise<CredentialRow[]> =>
  db.select().from(vmwareCredentials).orderBy(desc(vmwareCredentials.isDefault), asc(vmwareCredentials.credentialName))

export const findCredential = async (db: Executor, id: number): Promise<CredentialRow | undefined> =>
  (await db.select().from(vmwareCredentials).where(eq(vmwareCredentials.id, id)))[0]

export const findDefaultCredential = async (db: Executor): Promise<CredentialRow | undefined> =>
  (await db.select().from(vmwareCredentials).where(eq(vmwareCredentials.isDefault, true)).limit(1))[0]

/** The credential a VM is read with: its own when it is active, else an active one of the same vCenter. */
export const credentialForVm = async (
  db: Executor,
  vm: { credentialId: number | null; vcenterHost: string },
): Promise<CredentialRow | undefined> => {
  const own = vm.credentialId === null ? undefined : await findCredential(db, vm.credentialId)
  if (own?.isActive) return own
  const [sameVcenter] = await db
    .select()
    .from(vmwareCredentials)
    .where(and(eq(vmwareCredentials.vcenterHost, vm.vcenterHost), eq(vmwareCredentials.isActive, true)))
    .orderBy(desc(vmwareCredentials.isDefault), asc(vmwareCredentials.id))
    .limit(1)
  return sameVcenter
}

/** @returns its id. Throws ER_DUP_ENTRY when the name is taken. */
export const insertCredential = async (
  db: Executor,
  values: typeof vmwareCredentials.$inferInsert,
): Promise<number> => {
  const [created] = await db.insert(vmwareCredentials).values(values).$returningId()
  return created!.id
}

export const updateCredential = (db: Executor, id: number, change: Partial<typeof vmwareCredentials.$inferInsert>) =>
  db
    .update(vmwareCredentials)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(vmwareCredentials.id, id))

/** Takes the default mark from every other credential. */
export const clearOtherDefaults = (db: Executor, id: number) =>
  db
    .update(vmwareCredentials)
    .set({ isDefault: false })
    .where(and(ne(vmwareCredentials.id, id), eq(vmwareCredentials.isDefault, true)))

export const deleteCredential = (db: Executor, id: number) =>
  db.delete(vmwareCredentials).where(eq(vmwareCredentials.id, id))

export const countVmsUsing = async (db: Executor, id: number): Promise<number> =>
  (await db.select({ vms: count() }).from(vmReplicationContexts).where(eq(vmReplicationContexts.credentialId, id)))[0]
    ?.vms ?? 0

export const noteCredentialUse = (db: Executor, id: number, at: Date) =>
  db
    .update(vmwareCredentials)
    .set({ lastUsed: at, usageCount: sql`${vmwareCredentials.usageCount} + 1` })
    .where(eq(vmwareCredentials.id, id))
