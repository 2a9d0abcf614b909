/** GET /notifications/{id}: one notification, without its secret. */
import { notification, notificationParams } from '../../contract/api/notifications.ts'
import { toNotification } from '../../db/queries/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRule } from '../../workflows/notify.ts'

export default defineFunction(
  {
    summary: 'One notification',
    needs: ['DB'],
    params: notificationParams,
    responses: { 200: notification },
    errors: ['NOTIFICATION_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => toNotification(await existingRule(DB.orm, params.id)),
)
