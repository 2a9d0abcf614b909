/** host-agent: root, one a host. Usage: node main.js --settings <file> */
import { chmod, chown, mkdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import { agentSettings } from '../contract/settings.ts'
import { openAgent } from './agent.ts'
import { log } from './log.ts'
import { createServerApp } from './server.ts'

const { values } = parseArgs({ options: { settings: { type: 'string' } } })
if (!values.settings) throw new Error('usage: main.js --settings <file>')
const settings = agentSettings.parse(JSON.parse(await readFile(values.settings, 'utf8')))

process.umask(0o077)

/** One agent a state folder: an abstract socket is a lock that goes with its holder, however that dies. */
const lock = createServer()
await new Promise<void>((resolve, reject) => {
  lock.once('error', () => reject(new Error(`another host-agent uses ${settings.stateDir}`)))
  lock.listen(`\0sendense-agent:${settings.stateDir}`, resolve)
})

const opening = openAgent(settings)
let server: ReturnType<typeof createAdaptorServer> | undefined
let stopping = false
/** What is being opened is closed once it is open: nothing of it is left behind. */
const stop = async (why: string) => {
  if (stopping) return
  stopping = true
  log.info({ why }, 'host-agent is stopping')
  server?.close()
  const opened = await opening.catch(() => undefined)
  await opened?.close()
  await rm(settings.socketPath, { force: true })
  process.exit(0)
}
process.on('SIGTERM', () => void stop('SIGTERM'))
process.on('SIGINT', () => void stop('SIGINT'))

const agent = await opening
if (stopping) await new Promise(() => undefined)
server = createAdaptorServer({ fetch: createServerApp(agent).fetch })

// The folder's mode guards the socket from the moment it is made.
const folder = dirname(settings.socketPath)
await mkdir(folder, { recursive: true, mode: 0o700 })
await rm(settings.socketPath, { force: true })
await new Promise<void>((resolve, reject) => {
  server.once('error', reject)
  server.listen(settings.socketPath, resolve)
})
if (settings.socketGid !== null) await chown(settings.socketPath, 0, settings.socketGid)
await chmod(settings.socketPath, 0o660)
log.info({ socket: settings.socketPath }, 'host-agent is ready')
