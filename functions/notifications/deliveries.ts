/** GET /notifications/{id}/deliveries: what became of its messages, newest first. */
import { counts } from '../../contract/api/common.ts'
import { deliveriesAnswer, listNotificationsQuery, notificationParams } from '../../contract/api/notifications.ts'
import { deliveriesOf, toDelivery } from '../../db/queries/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRule } from '../../workflows/notify.ts'

export default defineFunction(
  {
    summary: 'Messages of a notification',
    needs: ['DB'],
    params: notificationParams,
    query: listNotificationsQuery,
    responses: { 200: deliveriesAnswer },
    errors: ['NOTIFICATION_NOT_FOUND'],
  },
  async ({ params, query, env: { DB } }) => {
    const { id } = await existingRule(DB.orm, params.id)
    const { rows, total } = await deliveriesOf(DB.orm, id, query)
    return { deliveries: rows.map(toDelivery), ...counts(rows, total) }
  },
)
