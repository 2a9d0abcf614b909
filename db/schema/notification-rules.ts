import { json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import type { MailTarget, NotificationEvent, WebhookTarget } from '../../contract/api/notifications.ts'
import { createdAt, flag, id64, text255, updatedAt } from './columns.ts'

/** Who is told of what. Empty lists: of all. */
export const notificationRules = mysqlTable('notification_rules', {
  id: id64().primaryKey(),
  name: text255().notNull().unique('notification_rules_name_unique'),
  enabled: flag(true),
  type: mysqlEnum(['webhook', 'mail']).notNull(),
  config: json().$type<WebhookTarget | MailTarget>().notNull(),
  events: json().$type<NotificationEvent[]>().notNull(),
  vmNames: json().$type<string[]>().notNull(),
  repositoryIds: json().$type<string[]>().notNull(),
  /** Encrypted; empty when there is none. */
  secretEncrypted: text().notNull(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
