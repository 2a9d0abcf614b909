/** notifications, notify-test, messages */
import type { Command } from 'commander'
import { call, type Json, named } from '../client.ts'
import { Failure } from '../failure.ts'
import { type Column, print, printJson, show, when } from '../output.ts'

type Common = { json: boolean }

const orAll = (names: string[]) => (names.length === 0 ? 'all' : names.join(', '))
const ruleColumns: Column[] = [
  ['NOTIFICATION', (rule) => rule.name],
  ['TO', (rule) => (rule.type === 'mail' ? rule.config.to.join(', ') : rule.config.url)],
  ['OF', (rule) => orAll(rule.events)],
  ['VMS', (rule) => orAll(rule.vm_names)],
  ['ENABLED', (rule) => (rule.enabled ? 'yes' : 'no')],
]
const messageColumns: Column[] = [
  ['WHEN', (message) => when(message.created_at)],
  ['STATUS', (message) => message.status],
  ['TRIES', (message) => message.attempts],
  ['MESSAGE', (message) => message.text],
  ['ERROR', (message) => message.last_error],
]

const ruleNamed = async (name: string): Promise<Json> =>
  named((await call('GET', '/notifications?limit=1000')).notifications, 'notification', name)

export const addNotificationCommands = (program: Command) => {
  program
    .command('notifications')
    .description('who is told of what')
    .action(async (_, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', '/notifications?limit=1000')
      show(json, answer, answer.notifications, ruleColumns, 'Nobody is told of anything yet.')
    })
  program
    .command('notify-test <notification>')
    .description('send a message at once, and say whether it was taken')
    .action(async (name: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const { id } = await ruleNamed(name)
      const outcome = await call('POST', `/notifications/${id}/test`)
      if (json) printJson(outcome)
      if (!outcome.success) throw new Failure('failed', `It was not taken: ${outcome.message}`)
      if (!json) print('The message was taken')
    })
  program
    .command('messages <notification>')
    .description('what became of its messages, the newest first')
    .action(async (name: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const { id } = await ruleNamed(name)
      const answer = await call('GET', `/notifications/${id}/deliveries`)
      show(json, answer, answer.deliveries, messageColumns, 'It has sent nothing yet.')
    })
}
