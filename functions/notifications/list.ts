/** GET /notifications: who is told of what. */
import { page } from '../../contract/api/common.ts'
import { listNotificationsQuery, notificationsAnswer } from '../../contract/api/notifications.ts'
import { listRules, toNotification } from '../../db/queries/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'List notifications',
    needs: ['DB'],
    query: listNotificationsQuery,
    responses: { 200: notificationsAnswer },
  },
  async ({ query, env: { DB } }) => {
    const { shown, ...counts } = page(await listRules(DB.orm), query)
    return { notifications: shown.map(toNotification), ...counts }
  },
)
