import { boolean, int, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, time } from './columns.ts'
import { nbdPortAllocations } from './nbd-port-allocations.ts'

export const qemuNbdProcesses = mysqlTable(
  'qemu_nbd_processes',
  {
    pid: int().primaryKey(),
    port: int()
      .notNull()
      .references(() => nbdPortAllocations.port, { onDelete: 'cascade' }),
    exportName: varchar({ length: 63 }).notNull(),
    qcow2Path: varchar({ length: 512 }).notNull(),
    jobId: varchar({ length: 191 }),
    diskIndex: int(),
    readOnly: boolean().notNull().default(false),
    sharedLimit: int().notNull().default(10),
    /** Clock ticks since boot at which the process began, from /proc/pid/stat: tells a reused pid. */
    processStart: varchar({ length: 32 }).notNull(),
    startedAt: time().notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    unique('qemu_nbd_processes_port_unique').on(table.port),
    unique('qemu_nbd_processes_export_unique').on(table.exportName),
  ],
)
