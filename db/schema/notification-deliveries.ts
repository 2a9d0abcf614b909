import { index, int, json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import type { Message } from '../../contract/api/notifications.ts'
import { createdAt, id64, time } from './columns.ts'
import { notificationRules } from './notification-rules.ts'

/** Messages, written with what they tell of, and sent by rounds of a few seconds. */
export const notificationDeliveries = mysqlTable(
  'notification_deliveries',
  {
    id: id64().primaryKey(),
    ruleId: id64()
      .notNull()
      .references(() => notificationRules.id, { onDelete: 'cascade' }),
    message: json().$type<Message>().notNull(),
    status: mysqlEnum(['pending', 'sent', 'failed']).notNull().default('pending'),
    attempts: int().notNull().default(0),
    /** Whoever takes it sets it ahead, so that nobody else does meanwhile. */
    nextAttemptAt: time(),
    lastError: text(),
    sentAt: time(),
    createdAt: createdAt(),
  },
  (table) => [
    index('notification_deliveries_due').on(table.status, table.nextAttemptAt),
    index('notification_deliveries_rule').on(table.ruleId, table.createdAt),
  ],
)
