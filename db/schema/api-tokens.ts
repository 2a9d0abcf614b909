import { index, mysqlEnum, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, text255, time } from './columns.ts'
import { users } from './users.ts'

/** Long-lived tokens for scripts. The secret itself is shown once and not kept. */
export const apiTokens = mysqlTable(
  'api_tokens',
  {
    id: varchar({ length: 16 }).primaryKey(),
    userId: varchar({ length: 36 })
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    name: text255().notNull(),
    /** The most that it may do; never more than its user may at that time. */
    role: mysqlEnum(['admin', 'operator', 'viewer']).notNull(),
    /** SHA-256 in hex: the secret is 32 random bytes, which no dictionary holds. */
    secretHash: varchar({ length: 64 }).notNull(),
    expiresAt: time(),
    lastUsedAt: time(),
    createdAt: createdAt(),
  },
  (table) => [index('api_tokens_user').on(table.userId)],
)
