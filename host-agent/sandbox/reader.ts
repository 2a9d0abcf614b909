/**
 * Runs in a sandbox and reads one disk there: finds its volumes, has each mounted by a driver, and serves their files. It ends with the sandbox.
 * Usage: node reader.js, with standard input and output to the agent (protocol.ts).
 */
import { writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { serveExports } from '../../nbd/server.ts'
import { warmUpFolderThreads } from '../files/folder-threads.ts'
import { type Content, openMounted, type VolumeReader } from '../files/volume-reader.ts'
import { runHere } from '../run-tool.ts'
import { VolumeFinder } from '../volumes/find-volumes.ts'
import { mountByDriver } from '../volumes/fuse-drivers.ts'
import {
  type ArchiveRequest,
  inside,
  type ListRequest,
  type OpenRequest,
  type PathRequest,
  type PrepareRequest,
  type ReadRequest,
  readerLines,
  type ScanRequest,
} from './protocol.ts'

const volumes = new Map<number, VolumeReader>()
/** Why the driver of a volume serves it no more. */
const endedDrivers = new Map<number, string>()

const readerOf = ({ volume }: PathRequest): VolumeReader => {
  const reader = volumes.get(volume)
  if (!reader) throw new HubError('PARTITION_NOT_FOUND', 'The volume is not mounted')
  return reader
}
const pathOf = ({ path_b64 }: PathRequest) => Buffer.from(path_b64, 'base64')

/** How long after its first error we hear of a driver's end, at the most. */
const endIsHeardMs = 200

/** A driver that has ended gives errors that say nothing; its end says it. */
const withReason = async <T>({ volume }: PathRequest, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof HubError && error.code !== 'SERVICE_UNAVAILABLE') throw error
    for (const until = performance.now() + endIsHeardMs; performance.now() < until; await sleep(10)) {
      const details = endedDrivers.get(volume)
      if (details !== undefined)
        throw new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read any more", { details })
    }
    throw error
  }
}

const open = async ({ volume, filesystem, image, step }: OpenRequest) => {
  const path = inside.root(volume)
  const result = await mountByDriver({ filesystem, image, path, step }, (why) => endedDrivers.set(volume, why))
  if (result.mounted) volumes.set(volume, await openMounted(path, volume))
  return result
}

/** What is on the disks; volumes that lie in no one piece are given from here on. */
const scan = async ({ sizesBytes, secrets }: ScanRequest) => {
  const finder = new VolumeFinder({
    run: runHere,
    secrets: secrets.map((secret) => Buffer.from(secret, 'base64')),
    scratch: inside.guest,
  })
  const found = await finder.find(sizesBytes.map((sizeBytes, at) => ({ image: inside.disk(at), sizeBytes })))
  if (found.some(({ piece, closed }) => piece === null && closed === null))
    await serveExports(`${inside.shared}/${inside.blocks}`, (name) =>
      finder.blocksOf(Number(name.slice(inside.exportName(0).length - 1))),
    )
  return found
}

/** Files that QEMU shows images on: there before it does. */
const prepare = async ({ files }: PrepareRequest) => {
  for (const file of files) await writeFile(file, '')
  return {}
}

const answers: Record<string, (body: never) => Promise<unknown>> = {
  '/prepare': prepare,
  '/scan': scan,
  '/open': open,
  '/list': (asked: ListRequest) => withReason(asked, () => readerOf(asked).list(pathOf(asked), asked)),
  '/info': (asked: PathRequest) => withReason(asked, () => readerOf(asked).info(pathOf(asked))),
}
const archiveOptions = ({ format, checksums, only_b64, prefix_b64 }: ArchiveRequest) => ({
  format,
  checksums,
  only: only_b64?.map((path) => Buffer.from(path, 'base64')),
  prefix: Buffer.from(prefix_b64, 'base64'),
})
const contents: Record<string, (body: never) => Promise<Content>> = {
  '/read': (asked: ReadRequest) =>
    withReason(asked, () => readerOf(asked).read(pathOf(asked), asked.start, asked.length)),
  '/index': (asked: PathRequest) => withReason(asked, () => readerOf(asked).index()),
  '/archive': (asked: ArchiveRequest) =>
    withReason(asked, () => readerOf(asked).archive(pathOf(asked), archiveOptions(asked))),
}

const bodyOf = async (request: IncomingMessage): Promise<never> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as never
}

const sayJson = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}
const sayContent = async (response: ServerResponse, content: Content) => {
  const cut = new AbortController()
  response.once('close', () => cut.abort(new Error('the agent went away')))
  response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
  await content(response, cut.signal).then(
    () => response.end(),
    (error: unknown) => {
      // The agent tells whoever asked.
      const details = error instanceof HubError ? `: ${error.details}` : ''
      process.stderr.write(`${String(error)}${details}\n`)
      // Never ended in order: what was cut must not look whole.
      response.destroy()
    },
  )
}

const serve = async (request: IncomingMessage, response: ServerResponse) => {
  try {
    const body = await bodyOf(request)
    const content = contents[request.url!]
    if (content) await sayContent(response, await content(body))
    else sayJson(response, 200, await answers[request.url!]!(body))
  } catch (error) {
    const known =
      error instanceof HubError
        ? error
        : new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read here", { details: String(error) })
    sayJson(response, known.status, { code: known.code, message: known.message, details: known.details ?? '' })
  }
}

const begin = async () => {
  // A filesystem of its own: the folder that the agent sees is the host's, and an image shown there would be, too. Headers of volumes lie there for a moment.
  await runHere('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=128m,mode=0700', 'guest', inside.guest])
  await writeFile(inside.disk(0), '')
  // Its folder says who may come.
  process.umask(0)
  const server = createServer((request, response) => void serve(request, response))
  // The agent keeps its connections; one that is closed while it asks would look as if we had died.
  server.keepAliveTimeout = 0
  server.listen(`${inside.shared}/${inside.socket}`, () => process.stdout.write(`${readerLines.listening}\n`))
  warmUpFolderThreads()
}

process.stdout.write(`${readerLines.started}\n`)
createInterface({ input: process.stdin })
  .once('line', () => void begin())
  .once('close', () => process.exit(0))
