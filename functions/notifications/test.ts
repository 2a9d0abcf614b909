/** POST /notifications/{id}/test: sends a message at once, and says whether it was taken. */
import { notificationParams, testNotificationAnswer } from '../../contract/api/notifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRule, send } from '../../workflows/notify.ts'

export default defineFunction(
  {
    summary: 'Test a notification',
    needs: ['DB', 'KEYS', 'CLOCK', 'NOTIFIER'],
    params: notificationParams,
    responses: { 200: testNotificationAnswer },
    errors: ['NOTIFICATION_NOT_FOUND'],
  },
  async ({ params, env }) => {
    const rule = await existingRule(env.DB.orm, params.id)
    try {
      await send(env, rule, {
        event: 'test',
        text: `This is a test of the notification ${rule.name}`,
        vm_name: null,
        backup_id: null,
        repository_id: null,
        schedule_id: null,
        details: null,
        at: env.CLOCK.now().toISOString(),
      })
      return { success: true, message: 'the message was taken' }
    } catch (error) {
      return { success: false, message: (error as Error).message }
    }
  },
)
