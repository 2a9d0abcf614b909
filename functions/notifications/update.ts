/** PUT /notifications/{id}: changes the sent fields; the type stays. */
import {
  createNotificationBody,
  notification,
  notificationParams,
  updateNotificationBody,
} from '../../contract/api/notifications.ts'
import { HubError } from '../../contract/errors.ts'
import { toNotification, updateRule } from '../../db/queries/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { existingRule } from '../../workflows/notify.ts'
import { sealSecret } from '../../workflows/secrets.ts'

export default defineFunction(
  {
    summary: 'Change a notification',
    needs: ['DB', 'KEYS'],
    params: notificationParams,
    body: updateNotificationBody,
    responses: { 200: notification },
    errors: ['NOTIFICATION_NOT_FOUND', 'NAME_TAKEN'],
  },
  async ({ params, body, env: { DB, KEYS } }) => {
    const { id, type, name } = await existingRule(DB.orm, params.id)
    if (body.config && !createNotificationBody.safeParse({ type, name, config: body.config }).success)
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [{ field: 'config', message: `is not one of a ${type}`, code: 'TYPE' }],
      })
    await withFreeName(body.name, () =>
      updateRule(DB.orm, id, {
        name: body.name,
        enabled: body.enabled,
        config: body.config,
        events: body.events,
        vmNames: body.vm_names,
        repositoryIds: body.repository_ids,
        secretEncrypted: body.secret === undefined ? undefined : sealSecret(KEYS, 'notification secret', body.secret),
      }),
    )
    return toNotification(await existingRule(DB.orm, id))
  },
)
