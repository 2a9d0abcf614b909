/**
 * Copies one disk's sealed file, with its checksums and its manifest, byte for byte into another repository: what makes it a restore point there
 * comes last, as with a seal.
 */
import { chmod, type FileHandle, open, readFile, rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { syncPath } from '../../durable/write-file.ts'
import { sha256 } from '../exports/blocks.ts'
import { identityOf, readManifest } from '../exports/manifest.ts'
import { writeDurably } from '../ledger.ts'
import { whileHealed } from '../locks.ts'
import { isTrouble } from '../trouble.ts'

/** Larger ones make the kernel look for larger pages: measured, 4 MiB took up to four times as long on a machine whose host takes free memory back. */
const pieceBytes = 256 * 1024
/** So much is lost at most when the machine loses power: what is on the disk is not copied again. */
const syncEveryBytes = 256 * 1024 * 1024

export type FileToCopy = {
  /** Paths of the disk's files, without suffix. */
  source: string
  target: string
  /** As the seal gave it; null when that is not known. */
  manifestDigest: string | null
  /** Bytes that an earlier try has brought to the disk. */
  syncedBytes: number
  /** Whether what is there already, damaged it may be, is written again. */
  replace: boolean
  bytesPerSecond: number
}
type Report = {
  onSize: (bytes: number) => void
  onProgress: (bytes: number) => void
  onSynced: (bytes: number) => Promise<void>
}

const broken = (detail: string, cause?: unknown) =>
  new HubError('CHAIN_BROKEN', 'The file that is to be copied is damaged', { details: detail, cause })

/** @throws CHAIN_BROKEN for a step that found damage; trouble of this machine as it is */
const ofSource = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (isTrouble(error)) throw error
    throw broken(`${name}: ${(error as Error).message.replace(/\/\S+\//g, '')}`, error)
  }
}
const ofTarget = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (/ENOSPC|EDQUOT|-122/.test(`${(error as NodeJS.ErrnoException).code}`))
      throw new HubError('INSUFFICIENT_STORAGE', 'The repository is full', { cause: error })
    throw error
  }
}

const isThere = async (target: string, digest: string, size: number): Promise<boolean> =>
  readManifest(target).then(
    async (manifest) => manifest.digest === digest && (await stat(`${target}.qcow2`)).size === size,
    () => false,
  )

/** @throws CHAIN_BROKEN when the source is not what was sealed, INSUFFICIENT_STORAGE */
export const copyDiskFile = async (file: FileToCopy, report: Report, signal: AbortSignal): Promise<void> => {
  const { source, target, manifestDigest } = file
  const name = basename(source)
  const manifest = await ofSource(`${name}.manifest.json`, () => readManifest(source))
  if (manifestDigest !== null && identityOf(manifest) !== manifestDigest)
    throw broken(`${name}.manifest.json: is not the one that was sealed`)
  const size = manifest.file_size_bytes
  report.onSize(size)
  if (!file.replace && (await isThere(target, manifest.digest, size))) {
    report.onProgress(size)
    return
  }
  const blocks = await ofSource(`${name}.blocks`, () => readFile(`${source}.blocks`))
  if (sha256(blocks).toString('hex') !== manifest.checksums.digest)
    throw broken(`${name}.blocks: does not match the digest in the manifest`)
  await copyBytes(file, size, report, signal)
  const replace = async () => {
    await chmod(`${target}.qcow2.tmp`, 0o444)
    await rename(`${target}.qcow2.tmp`, `${target}.qcow2`)
    await syncPath(dirname(target))
    await writeDurably(`${target}.blocks`, blocks, 0o444)
    const context = (path: string) => join(dirname(dirname(path)), 'context.json')
    await writeDurably(context(target), await readFile(context(source)))
    await writeDurably(`${target}.manifest.json`, await readFile(`${source}.manifest.json`), 0o444)
  }
  await ofTarget(() => whileHealed(target, replace))
}

const copyBytes = async (
  { source, target, syncedBytes, bytesPerSecond }: FileToCopy,
  size: number,
  { onProgress, onSynced }: Report,
  signal: AbortSignal,
): Promise<void> => {
  const name = `${basename(source)}.qcow2`
  const from = await ofSource(name, () => open(`${source}.qcow2`, 'r'))
  let to: FileHandle | undefined
  try {
    const found = (await from.stat()).size
    if (found !== size) throw broken(`${name}: has ${found} bytes, not ${size}`)
    // What an earlier try is believed to have written may have been removed since.
    const written = await stat(`${target}.qcow2.tmp`).then(
      (info) => info.size,
      () => 0,
    )
    const start = syncedBytes > 0 && written >= syncedBytes ? syncedBytes : 0
    to = await ofTarget(() => open(`${target}.qcow2.tmp`, start > 0 ? 'r+' : 'w', 0o600))
    await to.truncate(start)
    await copyFrom(start, to)
    await ofTarget(() => to!.sync())
  } finally {
    await from.close()
    await to?.close()
  }

  /** The next piece is read while one is written. */
  async function copyFrom(start: number, into: FileHandle) {
    const began = performance.now()
    const buffers = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const
    const read = (at: number, turn: number) =>
      ofSource(name, async () => {
        const length = Math.min(pieceBytes, size - at)
        const { bytesRead } = await from.read(buffers[turn % 2]!, 0, length, at)
        if (bytesRead !== length) throw new Error(`ends at ${at + bytesRead} bytes`)
        return buffers[turn % 2]!.subarray(0, length)
      })
    let synced = start
    /** The last flush, which goes on beside the next bytes. */
    let flush = Promise.resolve()
    let next = start < size ? read(start, 0) : undefined
    // Looked at in its turn; until then a rejection is not an unhandled one.
    next?.catch(() => undefined)
    const syncTo = async (bytes: number) => {
      await ofTarget(() => into.datasync())
      await onSynced(bytes)
    }
    for (let [at, turn] = [start, 0]; next !== undefined; turn++) {
      signal.throwIfAborted()
      const data: Buffer = await next
      const after = at + data.length
      next = after < size ? read(after, turn + 1) : undefined
      next?.catch(() => undefined)
      await ofTarget(() => writeAll(into, data, at))
      at = after
      onProgress(at)
      if (at - synced >= syncEveryBytes) {
        await flush
        flush = syncTo(at)
        // Looked at in its turn; until then a rejection is not an unhandled one.
        flush.catch(() => undefined)
        synced = at
      }
      if (bytesPerSecond > 0) {
        const dueMs = ((at - start) / bytesPerSecond) * 1000 - (performance.now() - began)
        if (dueMs > 0) await sleep(dueMs, undefined, { signal })
      }
    }
    await flush
  }
}

/** The kernel may take less than it is given. */
const writeAll = async (file: FileHandle, data: Buffer, position: number): Promise<void> => {
  for (let written = 0; written < data.length; )
    written += (await file.write(data, written, data.length - written, position + written)).bytesWritten
}
