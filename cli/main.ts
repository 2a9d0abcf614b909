#!/usr/bin/env node
/** The command line: a thin client of the HTTP API. Usage: npx sendense --help */
import { Command, CommanderError } from 'commander'
import { addBackupCommands } from './commands/backups.ts'
import { addFlowCommands } from './commands/flows.ts'
import { addNotificationCommands } from './commands/notifications.ts'
import { addRestoreCommands } from './commands/restore.ts'
import { addSessionCommands } from './commands/session.ts'
import { completionFor } from './completion.ts'
import { exitCode, Failure } from './failure.ts'
import { print } from './output.ts'

const program = new Command('sendense')
  .description('Backs up VMs and gets files back, through a hub (SENDENSE_URL and SENDENSE_TOKEN stand for a login)')
  .option('--json', 'print what the hub answered, for scripts', false)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })
addSessionCommands(program)
addBackupCommands(program)
addRestoreCommands(program)
addFlowCommands(program)
addNotificationCommands(program)
program
  .command('completion <shell>')
  .description('completion for bash, zsh or fish, e.g.: source <(sendense completion bash)')
  .action((shell: string) => print(completionFor(shell, program)))
for (const command of program.commands)
  command.exitOverride().showHelpAfterError('(sendense --help lists the commands)')

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCode.usage
  else if (error instanceof Failure) {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = error.code
  } else throw error
}
