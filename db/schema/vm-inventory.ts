import { json, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'
import type { InventoryVm } from '../../contract/api/inventory.ts'
import { createdAt, text255, updatedAt } from './columns.ts'

/** What a node last pushed about one vCenter and datacenter; it manages nothing by itself. */
export const vmInventory = mysqlTable(
  'vm_inventory',
  {
    vcenterHost: text255().notNull(),
    vmId: varchar({ length: 191 }).notNull(),
    datacenter: text255().notNull(),
    vm: json().$type<InventoryVm>().notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [primaryKey({ columns: [table.vcenterHost, table.vmId] })],
)
