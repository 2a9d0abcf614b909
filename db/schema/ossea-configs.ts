import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, flag, text255, updatedAt } from './columns.ts'

export const osseaConfigs = mysqlTable('ossea_configs', {
  id: int().autoincrement().primaryKey(),
  name: text255().notNull().unique('ossea_configs_name_unique'),
  apiUrl: varchar({ length: 512 }).notNull(),
  apiKey: varchar({ length: 512 }).notNull(),
  secretKey: varchar({ length: 512 }).notNull(),
  domain: text255(),
  zone: text255().notNull(),
  templateId: text255(),
  networkId: text255(),
  serviceOfferingId: text255(),
  diskOfferingId: text255(),
  omaVmId: text255(),
  isActive: flag(true),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
