import { int, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { count, createdAt, id64, text255, updatedAt } from './columns.ts'
import { replicationSchedules } from './replication-schedules.ts'

export const vmMachineGroups = mysqlTable('vm_machine_groups', {
  id: id64().primaryKey(),
  name: text255().notNull().unique('vm_machine_groups_name_unique'),
  scheduleId: id64().references(() => replicationSchedules.id, { onDelete: 'set null' }),
  description: text(),
  maxConcurrentVms: int().notNull().default(5),
  priority: count(),
  createdBy: text255(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
