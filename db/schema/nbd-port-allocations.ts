import { index, int, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, text255, time } from './columns.ts'

export const nbdPortAllocations = mysqlTable(
  'nbd_port_allocations',
  {
    port: int().primaryKey(),
    jobId: varchar({ length: 191 }).notNull(),
    exportName: varchar({ length: 63 }).notNull(),
    vmName: text255(),
    allocatedAt: time().notNull(),
    expiresAt: time().notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    index('nbd_port_allocations_job').on(table.jobId),
    unique('nbd_port_allocations_export_unique').on(table.exportName),
  ],
)
