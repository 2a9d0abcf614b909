import { mysqlTable, unique } from 'drizzle-orm/mysql-core'
import { count, createdAt, flag, id64, text255, time } from './columns.ts'
import { replicationSchedules } from './replication-schedules.ts'
import { vmMachineGroups } from './vm-machine-groups.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

export const vmGroupMemberships = mysqlTable(
  'vm_group_memberships',
  {
    id: id64().primaryKey(),
    groupId: id64()
      .notNull()
      .references(() => vmMachineGroups.id, { onDelete: 'cascade' }),
    vmContextId: id64()
      .notNull()
      .references(() => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
    scheduleOverrideId: id64().references(() => replicationSchedules.id, { onDelete: 'set null' }),
    enabled: flag(true),
    priority: count(),
    addedAt: time(),
    addedBy: text255(),
    createdAt: createdAt(),
  },
  (table) => [unique('vm_group_memberships_unique').on(table.groupId, table.vmContextId)],
)
