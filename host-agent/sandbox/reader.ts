/**
 * Runs in a sandbox and reads one disk there: finds its volumes, has each mounted by a driver, and serves their files. It ends with the sandbox.
 * Usage: node reader.js, with standard input and output to the agent (protocol.ts).
 */
import { chmod, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { serveExports } from '../../nbd/server.ts'
import { warmUpFolderThreads } from '../files/folder-threads.ts'
import { runHere } from '../run-tool.ts'
import { VolumeFinder } from '../volumes/find-volumes.ts'
import { mountByDriver } from '../volumes/fuse-drivers.ts'
import { inside, type PrepareRequest, readerLines, type ScanRequest, type ShareRequest } from './protocol.ts'
import { answering } from './reader-answers.ts'

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

/** Whoever gets at a socket of ours may connect to it. */
const share = async ({ socket }: ShareRequest) => {
  await chmod(`${inside.shared}/${socket}`, 0o666)
  return {}
}

const serve = answering(
  (asked, path, onEnd) => mountByDriver({ ...asked, path }, onEnd),
  async (image) => image,
  { '/prepare': prepare, '/scan': scan, '/share': share },
)

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
