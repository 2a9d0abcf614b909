/** POST /notifications: tells somebody of failed, stalled and recovered backups, missed runs, low storage, damage; by webhook or mail. */
import { randomUUID } from 'node:crypto'
import { createNotificationBody, notification } from '../../contract/api/notifications.ts'
import { insertRule, toNotification } from '../../db/queries/notifications.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { existingRule } from '../../workflows/notify.ts'
import { sealSecret } from '../../workflows/secrets.ts'

export default defineFunction(
  {
    summary: 'Create a notification',
    needs: ['DB', 'KEYS'],
    body: createNotificationBody,
    responses: { 201: notification },
    errors: ['NAME_TAKEN'],
  },
  async ({ body, env: { DB, KEYS } }) => {
    const id = randomUUID()
    await withFreeName(body.name, () =>
      insertRule(DB.orm, {
        id,
        name: body.name,
        enabled: body.enabled,
        type: body.type,
        config: body.config,
        events: body.events,
        vmNames: body.vm_names,
        repositoryIds: body.repository_ids,
        secretEncrypted: sealSecret(KEYS, 'notification secret', body.secret),
      }),
    )
    return answer(201, toNotification(await existingRule(DB.orm, id)))
  },
)
