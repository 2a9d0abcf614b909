import { boolean, int, mysqlEnum, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, time, updatedAt } from './columns.ts'

export const users = mysqlTable('users', {
  id: varchar({ length: 36 }).primaryKey(),
  username: varchar({ length: 64 }).notNull().unique('users_username_unique'),
  /** scrypt in PHC form, see runtime/passwords.ts. */
  passwordHash: varchar({ length: 255 }).notNull(),
  role: mysqlEnum(['admin', 'operator', 'viewer']).notNull(),
  displayName: varchar({ length: 255 }),
  isActive: boolean().notNull().default(true),
  /** Tokens of an earlier version are refused: it grows when password, role or state change. */
  tokenVersion: int().notNull().default(0),
  lastLoginAt: time(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
