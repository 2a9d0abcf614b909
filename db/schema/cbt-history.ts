import { int, mysqlEnum, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { big, createdAt, flag, id64, text255 } from './columns.ts'
import { replicationJobs } from './replication-jobs.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

export const cbtHistory = mysqlTable(
  'cbt_history',
  {
    id: int().autoincrement().primaryKey(),
    jobId: varchar({ length: 191 }).references(() => replicationJobs.id, { onDelete: 'cascade' }),
    vmContextId: id64().references(() => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
    diskId: varchar({ length: 64 }).notNull(),
    changeId: text255().notNull(),
    previousChangeId: text255(),
    syncType: mysqlEnum(['full', 'incremental']).notNull(),
    blocksChanged: big(),
    bytesTransferred: big(),
    syncDurationSeconds: int(),
    syncSuccess: flag(false),
    createdAt: createdAt(),
  },
  (table) => [unique('cbt_history_change_unique').on(table.jobId, table.diskId, table.changeId)],
)
