/** vms, backup, backups, chain, index, verify, protect, unprotect, copies, copy, heal */
import type { Command } from 'commander'
import { call, type Json, repositoryNamed, withQuery } from '../client.ts'
import { Failure } from '../failure.ts'
import { type Column, print, printJson, show, size, when } from '../output.ts'
import { watch } from '../progress.ts'

const vmColumns: Column[] = [
  ['VM', (vm) => vm.vm_name],
  ['VCENTER', (vm) => vm.vcenter_host],
  ['POWER', (vm) => vm.power_state],
  ['GROUPS', (vm) => vm.groups.map((group: Json) => group.group_name).join(', ')],
  ['LAST BACKUP', (vm) => (vm.last_backup ? `${when(vm.last_backup.completed_at)} ${vm.last_backup.status}` : 'never')],
]
const backupColumns: Column[] = [
  ['BACKUP', (backup) => backup.backup_id],
  ['VM', (backup) => backup.vm_name],
  ['TYPE', (backup) => backup.backup_type],
  ['STATUS', (backup) => (backup.merging_into ? 'merging' : backup.status)],
  ['CREATED', (backup) => when(backup.created_at)],
  ['SIZE', (backup) => size(backup.size_bytes)],
  ['CHECKED', (backup) => backup.verify_state],
  ['REPOSITORY', (backup) => backup.repository_name],
]
const hasEnded = (backup: Json) => ['completed', 'failed', 'cancelled'].includes(backup.status)

/** @throws Failure when it has not been completed */
const waitForBackup = async (id: string, isJson: boolean): Promise<Json> => {
  const backup = await watch(
    isJson,
    () => call('GET', `/backups/${id}`),
    (now) => ({
      percent: now.progress_percent,
      text: `${now.current_phase} ${size(now.bytes_transferred)} ${size(now.transfer_speed_bps)}/s`,
      isOver: hasEnded(now),
    }),
  )
  if (isJson) printJson(backup)
  if (backup.status !== 'completed')
    throw new Failure('failed', `${id} ${backup.status}: ${backup.error_message ?? 'no reason was given'}`)
  return backup
}

const startBackup = async (vm: string, repository: string, type: string, policy: string | undefined): Promise<Json> => {
  const { id } = await repositoryNamed(repository)
  const body = { vm_name: vm, repository_id: id, ...(policy === undefined ? {} : { policy_id: policy }) }
  if (type !== 'auto') return call('POST', '/backups', { ...body, backup_type: type })
  try {
    return await call('POST', '/backups', { ...body, backup_type: 'incremental' })
  } catch (error) {
    if (!(error instanceof Failure) || !error.message.includes('[FULL_BACKUP_REQUIRED]')) throw error
    return call('POST', '/backups', { ...body, backup_type: 'full' })
  }
}

type Common = { json: boolean }

export const addBackupCommands = (program: Command) => {
  program
    .command('vms')
    .description('managed VMs')
    .option('--search <text>', 'part of the name')
    .action(async ({ search }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', withQuery('/vm-contexts', { search }))
      show(json, answer, answer.vm_contexts, vmColumns, 'No VM is managed yet.')
    })
  program
    .command('backup <vm>')
    .description('back up a VM')
    .requiredOption('-r, --repository <name>', 'where to')
    .option('-t, --type <type>', 'full, incremental, or auto: incremental where it can be', 'auto')
    .option('--policy <id>', 'by which policy it is kept and copied')
    .option('--no-wait', 'return as soon as it has begun')
    .action(async (vm: string, { repository, type, policy, wait }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const started = await startBackup(vm, repository, type, policy)
      if (!wait) return json ? printJson(started) : print(started.backup_id)
      const ended = await waitForBackup(started.backup_id, json)
      if (!json) print(`${ended.backup_id}: ${ended.backup_type}, ${size(ended.size_bytes)} stored`)
    })
  program
    .command('backups')
    .description('backups, newest first')
    .option('--vm <name>', 'of this VM')
    .option('--status <status>', 'started, in_progress, stalled, completed, failed or cancelled')
    .option('-n, --limit <number>', 'at most', '50')
    .action(async ({ vm, status, limit }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const answer = await call('GET', withQuery('/backups', { vm_name: vm, status, limit }))
      show(json, answer, answer.backups, backupColumns, 'There is no backup.')
    })
  program
    .command('chain <vm>')
    .description('the newest full of a VM, and what builds on it')
    .option('-r, --repository <name>', 'of this repository')
    .action(async (vm: string, { repository }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const repository_id = repository === undefined ? undefined : (await repositoryNamed(repository)).id
      const answer = await call('GET', withQuery('/backups/chain', { vm_name: vm, repository_id }))
      const columns: Column[] = [
        ['#', (link) => link.sequence_number],
        ['BACKUP', (link) => link.backup_id],
        ['TYPE', (link) => link.backup_type],
        ['CREATED', (link) => when(link.created_at)],
        ['SIZE', (link) => size(link.size_bytes)],
        ['RESTORABLE', (link) => (link.is_restorable ? 'yes' : 'NO')],
        ['CHECKED', (link) => link.verify_state],
      ]
      show(json, answer, answer.chain, columns, 'This VM has no completed backup there.')
    })
  program
    .command('index <backup>')
    .description('make the files of a backup known, so that search finds them')
    .action(async (id: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      await call('POST', `/backups/${id}/index`)
      const { file_index } = await watch(
        json,
        () => call('GET', `/backups/${id}`),
        ({ file_index: index }) => ({
          percent: 0,
          text: index?.status ?? '',
          isOver: !['pending', 'running'].includes(index?.status),
        }),
      )
      if (json) printJson(file_index)
      else print(`${file_index.entry_count} files and folders are known`)
      if (file_index.status !== 'completed')
        throw new Failure('failed', file_index.error_message ?? 'no reason was given')
    })
  program
    .command('verify <backup>')
    .description('read a backup again and compare it with its checksums')
    .option('--no-wait', 'return as soon as it is queued')
    .action(async (id: string, { wait }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const asked = await call('POST', `/backups/${id}/verify`, {})
      if (!wait) return json ? printJson(asked) : print(asked.message)
      const checked = await watch(
        json,
        () => call('GET', `/backups/${id}`),
        ({ verification }) => ({
          percent: verification?.progress_percent ?? 100,
          text: verification ? `${verification.status} ${size(verification.transfer_speed_bps)}/s` : '',
          isOver: verification === null,
        }),
      )
      if (json) printJson(checked)
      else for (const { file, detail } of checked.damages) print(`${file}: ${detail}`)
      if (checked.verify_state !== 'verified') throw new Failure('failed', `${id} is ${checked.verify_state}`)
      if (!json) print(`${id} is as it was written`)
    })
  for (const isProtected of [true, false])
    program
      .command(`${isProtected ? 'protect' : 'unprotect'} <backup>`)
      .description(isProtected ? 'keep a backup whatever its policy says' : 'let its policy decide on a backup again')
      .action(async (id: string, _, command: Command) => {
        const { json } = command.optsWithGlobals<Common>()
        const backup = await call('PUT', `/backups/${id}/protection`, { protected: isProtected })
        if (json) printJson(backup)
        else print(`${id} is ${isProtected ? 'protected' : 'not protected any more'}`)
      })
  addCopyCommands(program)
}

const copyColumns: Column[] = [
  ['REPOSITORY', (copy) => copy.repository_name],
  ['STATUS', (copy) => copy.status],
  ['DONE', (copy) => `${copy.progress_percent} %`],
  ['SIZE', (copy) => size(copy.size_bytes)],
  ['CHECKED', (copy) => copy.verification_status],
  ['CREATED', (copy) => when(copy.created_at)],
  ['PROBLEM', (copy) => copy.error_message],
]

const addCopyCommands = (program: Command) => {
  program
    .command('copies <backup>')
    .description('copies of a backup in other repositories')
    .action(async (id: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const copies = await call('GET', `/backups/${id}/copies`)
      show(json, copies, copies, copyColumns, 'There is no copy.')
    })
  program
    .command('copy <backup>')
    .description('copy a backup, and what it builds on, to another repository')
    .requiredOption('-r, --repository <name>', 'where to')
    .option('--no-wait', 'return as soon as it is queued')
    .action(async (id: string, { repository, wait }, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const { id: repository_id } = await repositoryNamed(repository)
      const asked = await call('POST', `/backups/${id}/copy`, { repository_id })
      if (!wait) return json ? printJson(asked) : print(asked.message)
      const copy = await watch(
        json,
        async () => (await call('GET', `/backups/${id}/copies`)).find((row: Json) => row.id === asked.copy_id),
        (now) => ({
          percent: now.progress_percent,
          text: `${now.status} ${now.error_message ?? ''}`,
          isOver: ['completed', 'failed'].includes(now.status),
        }),
      )
      if (json) printJson(copy)
      if (copy.status === 'failed') throw new Failure('failed', copy.error_message)
      if (!json) print(`${id} is in ${copy.repository_name}, too: ${size(copy.size_bytes)}`)
    })
  program
    .command('heal <backup>')
    .description('bring damaged or missing files of a backup back from a copy')
    .action(async (id: string, _, command: Command) => {
      const { json } = command.optsWithGlobals<Common>()
      const asked = await call('POST', `/backups/${id}/heal`, {})
      if (asked.heal === null) return json ? printJson(asked) : print(asked.message)
      const healed = await watch(
        json,
        () => call('GET', `/backups/${id}`),
        ({ heal, verification }) => ({
          percent: heal?.progress_percent ?? verification?.progress_percent ?? 100,
          text: heal ? `healing ${heal.error_message ?? ''}` : 'checking',
          isOver: heal === null && verification === null,
        }),
      )
      if (json) printJson(healed)
      if (healed.verify_state !== 'verified') throw new Failure('failed', `${id} is ${healed.verify_state}`)
      if (!json) print(`${id} is whole again`)
    })
}
