/** A condition on many VMs at once. */
import { inArray } from 'drizzle-orm'
import type { AnyMySqlColumn } from 'drizzle-orm/mysql-core'

/** More ids than this in a statement cost more than the rows of VMs that nobody asked for. */
const manyVms = 500
/** @returns the condition for these VMs; for many of them there is none, and the caller leaves out what it does not know */
export const amongVms = (column: AnyMySqlColumn, contextIds: string[]) =>
  contextIds.length > manyVms ? undefined : inArray(column, contextIds)
