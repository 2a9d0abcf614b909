/** DELETE /notifications/{id}: nobody is told by it any more; what it had not sent yet is not sent. */
import { deleteNotificationAnswer, notificationParams } from '../../contract/api/notifications.ts'
import { deleteRule } from '../../db/queries/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRule } from '../../workflows/notify.ts'

export default defineFunction(
  {
    summary: 'Remove a notification',
    needs: ['DB'],
    params: notificationParams,
    responses: { 200: deleteNotificationAnswer },
    errors: ['NOTIFICATION_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const { id, name } = await existingRule(DB.orm, params.id)
    await deleteRule(DB.orm, id)
    return { message: `notification ${name} removed`, id }
  },
)
