/** login, logout */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { logIn } from '../client.ts'
import { print } from '../output.ts'
import { defaultUrl, forgetSession, storeSession } from '../session.ts'

/** Without showing what is typed. */
const askForPassword = async (): Promise<string> => {
  process.stderr.write('Password: ')
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: silent, terminal: process.stdin.isTTY })
  try {
    for await (const line of lines) return line
    return ''
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}

export const addSessionCommands = (program: Command) => {
  program
    .command('login')
    .description('log in to a hub; the password is asked for, or read from SENDENSE_PASSWORD or the standard input')
    .option('--url <url>', 'of the hub', process.env.SENDENSE_URL || defaultUrl)
    .option('--username <name>', 'who logs in', 'admin')
    .action(async ({ url, username }: { url: string; username: string }) => {
      const base = url.replace(/\/+$/, '')
      const { token, user } = await logIn(base, username, process.env.SENDENSE_PASSWORD ?? (await askForPassword()))
      const file = await storeSession({ url: base, token })
      print(`Logged in to ${base} as ${user.username} (${user.role}); the token is in ${file}`)
    })
  program
    .command('logout')
    .description('forget the token')
    .action(async () => {
      await forgetSession()
      print('Logged out')
    })
}
