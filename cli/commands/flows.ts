/** flows, run, policies, repos */
import type { Command } from 'commander'
import { call, type Json, named } from '../client.ts'
import { Failure } from '../failure.ts'
import { type Column, print, printJson, show, size, when } from '../output.ts'
import { watch } from '../progress.ts'

type Common = { json: boolean }

const flowColumns: Column[] = [
  ['FLOW', (flow) => flow.name],
  ['PROTECTS', (flow) => `${flow.target_type} ${flow.target_name ?? '(gone)'}`],
  ['REPOSITORY', (flow) => flow.repository_name],
  ['SCHEDULE', (flow) => flow.schedule_name],
  ['ENABLED', (flow) => (flow.enabled ? 'yes' : 'no')],
  ['LAST RUN', (flow) => `${when(flow.last_execution)} ${flow.status.last_execution_status}`.trim()],
  ['NEXT RUN', (flow) => when(flow.next_execution)],
]
const policyColumns: Column[] = [
  ['POLICY', (policy) => policy.name],
  ['ID', (policy) => policy.id],
  ['KEEPS', (policy) => (policy.retention_days === 0 ? 'for ever' : `${policy.retention_days} days`)],
  ['COPIES', (policy) => policy.copy_rules.map((rule: Json) => rule.copy_mode).join(', ')],
  ['ENABLED', (policy) => (policy.enabled ? 'yes' : 'no')],
]
const repositoryColumns: Column[] = [
  ['REPOSITORY', (repository) => repository.name],
  ['TYPE', (repository) => repository.type],
  ['FREE', (repository) => (repository.storage_info ? size(repository.storage_info.available_bytes) : 'UNREACHABLE')],
  ['USED', (repository) => (repository.storage_info ? `${repository.storage_info.used_percent} %` : '')],
  ['BACKUPS', (repository) => repository.backup_count],
  ['ENABLED', (repository) => (repository.enabled ? 'yes' : 'no')],
]

export const addFlowCommands = (program: Command) => {
  program
    .command('flows')
    .description('protection flows and how they stand')
    .action(async (_, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', '/protection-flows')
      show(json, answer, answer.flows, flowColumns, 'There is no flow yet.')
    })
  program
    .command('run <flow>')
    .description('run a flow now')
    .option('--no-wait', 'return as soon as it has begun')
    .action(async (name: string, { wait }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const { id } = named((await call('GET', '/protection-flows')).flows, 'flow', name)
      const begun = await call('POST', `/protection-flows/${id}/execute`)
      if (!wait) return json ? printJson(begun) : print(begun.message)
      const run = await watch(
        json,
        async () => {
          const { executions } = await call('GET', `/protection-flows/${id}/executions?limit=100`)
          return executions.find((execution: Json) => execution.id === begun.id)
        },
        (now) => {
          const ended = now.jobs_completed + now.jobs_failed + now.jobs_skipped
          return {
            percent: now.vms_processed === 0 ? 100 : (ended / now.vms_processed) * 100,
            text: `${ended} of ${now.vms_processed} VMs, ${size(now.bytes_transferred)}`,
            isOver: now.status !== 'running' && now.status !== 'pending',
          }
        },
      )
      if (json) printJson(run)
      if (run.status !== 'success') throw new Failure('failed', `${run.status}: ${run.error_message}`)
      if (!json) print(`${run.jobs_completed} backups completed, ${size(run.bytes_transferred)}`)
    })
  program
    .command('policies')
    .description('how long backups are kept, and where their copies go')
    .action(async (_, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const policies = await call('GET', '/policies')
      show(json, policies, policies, policyColumns, 'There is no policy yet.')
    })
  program
    .command('repos')
    .description('repositories and their room')
    .action(async (_, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', '/repositories')
      show(json, answer, answer.repositories, repositoryColumns, 'There is no repository yet.')
    })
}
