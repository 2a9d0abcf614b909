/**
 * Tells people what they should know. A message is written in the transaction of what it tells of, so that no death of a hub loses it; rounds of a
 * few seconds send it, and try again what was not taken.
 */
import { randomUUID } from 'node:crypto'
import type { MailTarget, Message, NotificationEvent, WebhookTarget } from '../contract/api/notifications.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import {
  claimDelivery,
  type DeliveryRow,
  deleteOldDeliveries,
  dueDeliveries,
  findRule,
  insertDeliveries,
  listRules,
  type RuleRow,
  updateDelivery,
} from '../db/queries/notifications.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { openSecret } from './secrets.ts'

type NotifyEnv = Env<'DB' | 'KEYS' | 'CLOCK' | 'NOTIFIER'>
type Subject = Partial<Pick<Message, 'vm_name' | 'backup_id' | 'repository_id' | 'schedule_id' | 'details'>>

const seconds = 1000
/** How long after each failed try comes the next one; after the last of them it is given up. */
const retryAfterMs = [10 * seconds, 60 * seconds, 300 * seconds, 1800 * seconds, 7200 * seconds]
/** Longer than a try may take: by then its hub has died. */
const claimMs = 60 * seconds
const perRound = 50
const keptForMs = 30 * 24 * 3600 * seconds

/** @throws NOTIFICATION_NOT_FOUND */
export const existingRule = async (db: Executor, id: string): Promise<RuleRow> => {
  const row = await findRule(db, id)
  if (!row) throw new HubError('NOTIFICATION_NOT_FOUND', 'There is no such notification', { details: id.slice(0, 100) })
  return row
}

const isIn = <T>(list: readonly T[], value: T | null) => list.length === 0 || (value !== null && list.includes(value))

/** Writes a message for every rule that wants it. */
export const notify = async (
  tx: Executor,
  event: NotificationEvent,
  text: string,
  subject: Subject,
  now: Date,
): Promise<void> => {
  const message: Message = {
    event,
    text,
    vm_name: null,
    backup_id: null,
    repository_id: null,
    schedule_id: null,
    ...subject,
    details: subject.details?.slice(0, 2000) ?? null,
    at: now.toISOString(),
  }
  const rules = (await listRules(tx)).filter(
    ({ enabled, events, vmNames, repositoryIds }) =>
      enabled && isIn(events, event) && isIn(vmNames, message.vm_name) && isIn(repositoryIds, message.repository_id),
  )
  await insertDeliveries(
    tx,
    rules.map(({ id }) => ({ id: randomUUID(), ruleId: id, message, nextAttemptAt: now, createdAt: now })),
  )
}

/** @throws Error in words for an admin */
export const send = async (
  { KEYS, NOTIFIER }: Env<'KEYS' | 'NOTIFIER'>,
  { type, config, secretEncrypted }: RuleRow,
  message: Message,
): Promise<void> => {
  const secret = openSecret(KEYS, 'notification secret', secretEncrypted)
  if (type === 'webhook') await NOTIFIER.webhook(config as WebhookTarget, secret, message)
  else await NOTIFIER.mail(config as MailTarget, secret, message)
}

const attempt = async (env: NotifyEnv, delivery: DeliveryRow): Promise<void> => {
  const { DB, CLOCK } = env
  const rule = await findRule(DB.orm, delivery.ruleId)
  const until = new Date(CLOCK.now().getTime() + claimMs)
  if (!rule || !(await claimDelivery(DB.orm, delivery, until))) return
  try {
    await send(env, rule, delivery.message)
    await updateDelivery(DB.orm, delivery.id, { status: 'sent', sentAt: CLOCK.now(), lastError: null })
  } catch (error) {
    const afterMs = retryAfterMs[delivery.attempts]
    await updateDelivery(DB.orm, delivery.id, {
      lastError: (error as Error).message.slice(0, 1000),
      ...(afterMs === undefined
        ? { status: 'failed' as const }
        : { nextAttemptAt: new Date(CLOCK.now().getTime() + afterMs) }),
    })
  }
}

/** Sends what is due. */
export const sendDue = async (env: NotifyEnv): Promise<void> => {
  const now = env.CLOCK.now()
  for (const delivery of await dueDeliveries(env.DB.orm, now, perRound)) await attempt(env, delivery)
  await deleteOldDeliveries(env.DB.orm, new Date(now.getTime() - keptForMs))
}
