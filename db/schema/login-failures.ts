import { bigint, int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'

/** Failed logins per address and name; written by rate-limiter-flexible, whose column names these are. */
export const loginFailures = mysqlTable('login_failures', {
  key: varchar('key', { length: 255 }).primaryKey(),
  points: int('points').notNull().default(0),
  expire: bigint('expire', { mode: 'number', unsigned: true }),
})
