/** source-node: beside the VMs. Usage: node main.js --settings <file> */
import { mkdir, readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import { nodeSettings } from '../contract/settings.ts'
import { Jobs } from './jobs.ts'
import { log } from './log.ts'
import { createNodeApp } from './server.ts'

const { values } = parseArgs({ options: { settings: { type: 'string' } } })
if (!values.settings) throw new Error('usage: main.js --settings <file>')
const settings = nodeSettings.parse(JSON.parse(await readFile(values.settings, 'utf8')))

process.umask(0o077)
await mkdir(settings.stateDir, { recursive: true, mode: 0o700 })
const jobs = new Jobs(settings)
await jobs.open()
const server = createAdaptorServer({ fetch: createNodeApp(jobs, settings).fetch })
await new Promise<void>((resolve, reject) => {
  server.once('error', reject)
  server.listen(settings.port, settings.host, resolve)
})
log.info({ host: settings.host, port: settings.port }, 'source node is ready')

let stopping = false
const stop = async () => {
  if (stopping) return
  stopping = true
  server.close()
  await jobs.close()
  process.exit(0)
}
process.on('SIGTERM', () => void stop())
process.on('SIGINT', () => void stop())
