/**
 * Makes what was written a restore point: flush, end qemu-nbd, fsync, check, checksums, manifest, in that order.
 * qemu-nbd ending with 0 proves nothing (it does so after a lost write), so the data is read back from the file.
 */
import { chown, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { DiskFile, SealBody } from '../../contract/agent.ts'
import { syncPath } from '../../durable/write-file.ts'
import { NbdClient } from '../../nbd/client.ts'
import { type Daemon, program, run } from '../exec.ts'
import { closeAll, openFor } from '../handed-files.ts'
import { nextUser } from '../qemu-users.ts'
import { handedPath } from '../run-tool.ts'
import { blockBytes } from './blocks.ts'
import { diskChecksums, structureChecksum } from './checksums.ts'
import { identityOf, readManifest, writeManifest } from './manifest.ts'
import { chainNode, checkHeader } from './qcow2.ts'

/** Writing back what the page cache holds can take long on a slow disk. */
const flushTimeoutMs = 3_600_000
/** After the flush qemu-nbd has only its tables left to write. */
const stopGraceMs = 60_000

export type SealTask = {
  exportName: string
  port: number
  /** Undefined when an earlier agent had already ended and flushed it. */
  daemon: Daemon | undefined
  file: DiskFile
  /** Absolute path of the file, without suffix. */
  path: string
  /** Absolute paths of the chain, newest first, the file itself included. */
  chain: string[]
  body: SealBody
  onFlushed: () => Promise<void>
  onProgress: (sealedBytes: number) => void
  signal: AbortSignal
}

export type Sealed = { storedBytes: number; virtualSize: number; manifestDigest: string }

const flush = async ({ exportName, port }: SealTask) => {
  const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName })
  const timer = setTimeout(() => client.destroy(), flushTimeoutMs)
  try {
    await client.flush()
  } finally {
    clearTimeout(timer)
    client.close()
  }
}

/** What qemu-nbd says of clients that went away; it says nothing of the data. */
const aboutClients = /Disconnect client, due to:|option negotiation failed/

/** Ends the export so that all it took is in the file. @throws when anything says that it is not */
const endExport = async (task: SealTask, daemon: Daemon) => {
  await flush(task)
  const before = daemon.stderr()
  const { exitCode, signal, stderr } = await daemon.stop(stopGraceMs)
  if (exitCode !== 0) throw new Error(`qemu-nbd ended with ${exitCode ?? signal}: ${stderr.trim()}`)
  // It ends with 0 after a failed last flush, too; only what it says then tells.
  const lastWords = (stderr.startsWith(before) ? stderr.slice(before.length) : stderr)
    .split('\n')
    .filter((line) => line.trim() !== '' && !aboutClients.test(line))
  if (lastWords.length > 0) throw new Error(`qemu-nbd reported: ${lastWords.join(' ')}`)
}

type CheckReport = { corruptions?: number; 'check-errors'?: number; leaks?: number }
/**
 * @param path of one file, whose parents are not looked at; one that not everybody may read belongs to a user of QEMU afterwards
 * @throws Error when its tables do not fit together
 */
export const checkStructure = async (path: string): Promise<void> => {
  const user = nextUser()
  await closeAll(await openFor(user, [path], () => false))
  const image = `json:${JSON.stringify(chainNode([handedPath(0)], true))}`
  // 3 = leaked clusters: wasted room, no damage.
  const { stdout } = await run(program.qemuImg, ['check', '--output=json', '--', image], {
    timeoutMs: flushTimeoutMs,
    okCodes: [0, 3],
    user,
    files: [path],
  })
  const report = JSON.parse(stdout) as CheckReport
  if (report.corruptions || report['check-errors']) throw new Error(`the file is damaged: ${stdout}`)
}

/** @throws Error with the first thing that is wrong; the file is no restore point then */
export const seal = async (task: SealTask): Promise<Sealed> => {
  const qcow2 = `${task.path}.qcow2`
  const parent = task.chain[1]
  if (task.daemon) {
    await endExport(task, task.daemon)
    await syncPath(qcow2)
    await syncPath(dirname(qcow2))
    await task.onFlushed()
  }
  const header = await checkHeader(qcow2, parent ? basename(parent) : null)
  await checkStructure(qcow2)
  // The users that wrote and checked it have no more to do with it.
  await chown(qcow2, process.getuid!(), process.getgid!())

  const parentBlocks = parent ? parent.replace(/\.qcow2$/, '.blocks') : null
  const hasParentBlocks =
    parentBlocks !== null &&
    (await stat(parentBlocks).then(
      () => true,
      () => false,
    ))
  const [digests, structureDigest] = await Promise.all([
    diskChecksums(
      { paths: task.chain, virtualSize: header.virtualSize, parentBlocks: hasParentBlocks ? parentBlocks : null },
      (blocks) => task.onProgress(Math.min(header.virtualSize, blocks * blockBytes)),
      task.signal,
    ),
    structureChecksum(qcow2, task.signal),
  ])
  const { size, blocks } = await stat(qcow2)
  const storedBytes = blocks * 512
  const manifestDigest = await writeManifest({
    path: task.path,
    file: task.file,
    body: task.body,
    parentFile: parent ? basename(parent) : null,
    virtualSize: header.virtualSize,
    fileSize: size,
    storedBytes,
    digests,
    structureDigest,
    parentDigest: parent ? identityOf(await readManifest(parent.replace(/\.qcow2$/, ''))) : null,
  })
  return { storedBytes, virtualSize: header.virtualSize, manifestDigest }
}
