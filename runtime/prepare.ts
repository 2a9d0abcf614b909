/**
 * What `npm start` does before and between starting its parts, for service managers that start them themselves (deploy/systemd).
 * Usage, as root: node prepare.js host | node prepare.js database [--rotate-keys]
 */
import { parseArgs } from 'node:util'
import { readSettings } from '../wrangler-style.config.ts'
import { prepareDatabase } from './embedded-database.ts'
import { ensureUser, prepareFolders, writeAgentSettings, writeNodeSettings } from './host.ts'
import { prepareDatabaseContent } from './prepare-database.ts'

const { values, positionals } = parseArgs({
  options: { 'rotate-keys': { type: 'boolean', default: false } },
  allowPositionals: true,
})
const settings = readSettings(process.env)
switch (positionals[0]) {
  case 'host': {
    const ids = ensureUser()
    await prepareFolders(settings, ids)
    if (settings.databaseUrl === undefined) await prepareDatabase(settings, ids)
    await writeAgentSettings(settings, ids)
    if (settings.localNode) await writeNodeSettings(settings, settings.localNode)
    break
  }
  case 'database':
    process.stdout.write(`The first password is ${await prepareDatabaseContent(settings, values['rotate-keys'])}\n`)
    break
  default:
    throw new Error('usage: prepare.js host | prepare.js database [--rotate-keys]')
}
