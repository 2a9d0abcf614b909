/** Shapes of notifications: rules that say who is told of what, and what became of each message. */
import { z } from 'zod'
import { id, listCounts, pagingQuery, str, time } from './common.ts'

export const notificationEvents = [
  'backup_failed',
  'backup_stalled',
  'backup_recovered',
  'run_missed',
  'storage_low',
  'verify_failed',
] as const
export type NotificationEvent = (typeof notificationEvents)[number]

const webhookUrl = str(1, 2000).refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  error: 'must be an http or https URL',
  params: { code: 'FORMAT' },
})
const address = z.email({ error: 'must be a mail address' }).max(254)
const hostName = z.string().regex(/^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9a-fA-F:]+$/, {
  error: 'must be a host name or an IP address',
})

const webhook = z.object({ url: webhookUrl })
const mail = z.object({
  host: hostName,
  port: z.int().min(1).max(65535).default(587),
  /** TLS from the first byte; without it the connection is encrypted when the server offers it. */
  tls: z.boolean().default(false),
  username: str(0, 255).default(''),
  from: address,
  to: z.array(address).min(1).max(20),
})
export type WebhookTarget = z.infer<typeof webhook>
export type MailTarget = z.infer<typeof mail>

/** Empty or absent: all. */
const filters = {
  events: z.array(z.enum(notificationEvents)).max(notificationEvents.length).default([]),
  vm_names: z.array(str(1)).max(1000).default([]),
  repository_ids: z.array(id).max(100).default([]),
}
const common = {
  name: str(1),
  enabled: z.boolean().default(true),
  ...filters,
  /** Signs webhooks, or is the password of the mail account. Never shown. */
  secret: str(0, 1024).default(''),
}
export const createNotificationBody = z.discriminatedUnion('type', [
  z.object({ type: z.literal('webhook'), config: webhook, ...common }),
  z.object({ type: z.literal('mail'), config: mail, ...common }),
])
export const updateNotificationBody = z
  .object({
    name: str(1),
    enabled: z.boolean(),
    events: filters.events.unwrap(),
    vm_names: filters.vm_names.unwrap(),
    repository_ids: filters.repository_ids.unwrap(),
    secret: str(0, 1024),
    /** Of the rule's own type. */
    config: z.union([mail, webhook]),
  })
  .partial()

export const notification = z.object({
  id: z.string(),
  name: z.string(),
  enabled: z.boolean(),
  type: z.enum(['webhook', 'mail']),
  config: z.record(z.string(), z.unknown()),
  events: z.array(z.enum(notificationEvents)),
  vm_names: z.array(z.string()),
  repository_ids: z.array(z.string()),
  secret_set: z.boolean(),
  created_at: time,
  updated_at: time,
})
export const notificationParams = z.object({ id })
export const listNotificationsQuery = z.object(pagingQuery())
export const notificationsAnswer = z.object({ notifications: z.array(notification), ...listCounts })
export const deleteNotificationAnswer = z.object({ message: z.string(), id: z.string() })

/** What a webhook gets as its body. */
export const message = z.object({
  event: z.enum([...notificationEvents, 'test']),
  /** One sentence, for people. */
  text: z.string(),
  vm_name: z.string().nullable(),
  backup_id: z.string().nullable(),
  repository_id: z.string().nullable(),
  schedule_id: z.string().nullable(),
  details: z.string().nullable(),
  at: time,
})
export type Message = z.infer<typeof message>

export const delivery = z.object({
  id: z.string(),
  event: z.string(),
  text: z.string(),
  status: z.enum(['pending', 'sent', 'failed']),
  attempts: z.int(),
  last_error: z.string().nullable(),
  next_attempt_at: time.nullable(),
  created_at: time,
  sent_at: time.nullable(),
})
export const deliveriesAnswer = z.object({ deliveries: z.array(delivery), ...listCounts })
export const testNotificationAnswer = z.object({ success: z.boolean(), message: z.string() })
