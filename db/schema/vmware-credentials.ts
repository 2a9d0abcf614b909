import { index, int, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core'
import { count, createdAt, flag, text255, time, updatedAt } from './columns.ts'

export const vmwareCredentials = mysqlTable(
  'vmware_credentials',
  {
    id: int().autoincrement().primaryKey(),
    credentialName: text255().notNull().unique('vmware_credentials_name_unique'),
    vcenterHost: text255().notNull(),
    username: text255().notNull(),
    /** `enc:v1:…`, see runtime/bindings/keys.ts. */
    passwordEncrypted: text().notNull(),
    datacenter: text255().notNull(),
    isActive: flag(true),
    isDefault: flag(false),
    createdBy: varchar({ length: 64 }),
    lastUsed: time(),
    usageCount: count(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('vmware_credentials_active').on(table.isActive),
    index('vmware_credentials_default').on(table.isDefault),
    index('vmware_credentials_vcenter').on(table.vcenterHost),
  ],
)
