/**
 * Merges one disk's file into the one that builds on it: what the child says is written into the parent's file, which then takes the child's
 * name. The child reads the same at every moment, whatever stops us, and so does all that builds on it. Each step can be repeated; the journal
 * beside the child says which one it is. Checksums are the child's own and are never made anew: a merge hides no damage.
 */
import { chmod, chown, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { HubError } from '../../contract/errors.ts'
import { syncPath } from '../../durable/write-file.ts'
import { program, startDaemon } from '../exec.ts'
import { mergedDifference, startThreads, structureChecksum } from '../exports/checksums.ts'
import { identityOf, type Manifest, readManifest } from '../exports/manifest.ts'
import { checkHeader, mergeNode } from '../exports/qcow2.ts'
import { checkStructure } from '../exports/seal.ts'
import { readSelfChecked, selfChecked } from '../exports/self-checked.ts'
import { closeAll, openFor } from '../handed-files.ts'
import { writeDurably } from '../ledger.ts'
import { refuseLocked, unlock } from '../locks.ts'
import { nextUser } from '../qemu-users.ts'
import { handedPath } from '../run-tool.ts'
import { isTrouble } from '../trouble.ts'

/** `manifest`: what the child's is to be, once the parent's file holds all of it; null until then. */
type Journal = { parent: string; manifest: (Manifest & { digest: string }) | null }

/** Absolute paths of a disk's files without suffix, newest first: the child, the parent that goes, what that builds on. */
export type MergePaths = { child: string; parent: string; below: readonly string[] }
/** Of the child once it is merged. */
export type Merged = { storedBytes: number }

const journalSuffix = '.merge.json'
export const journalOf = (path: string) => `${path}${journalSuffix}`

const broken = (details: string, cause?: unknown) =>
  new HubError('CHAIN_BROKEN', 'These restore points can not be merged', { details, cause })
const qcow2 = (path: string) => `${path}.qcow2`

/** @throws CHAIN_BROKEN for what says that a file is not as it should be; trouble of this machine as it is */
const orBroken = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (isTrouble(error)) throw error
    const details = (error instanceof HubError && error.details) || (error as Error).message
    throw broken(`${basename(name)}: ${details.replace(/\/\S+\//g, '')}`, error)
  }
}

const readJournal = async (child: string): Promise<Journal | undefined> => {
  let text: string
  try {
    text = await readFile(journalOf(child), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return orBroken(journalOf(child), async () => readSelfChecked<Journal>(text))
}
const writeJournal = (child: string, journal: Journal) => writeDurably(journalOf(child), selfChecked(journal))

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )

/** Whether the parent is the child's and both are what was sealed. Changes nothing. @throws CHAIN_BROKEN */
export const checkMergeable = async ({ child, parent, below }: MergePaths): Promise<void> => {
  if (await readJournal(child)) return
  for (const path of [child, parent]) await refuseLocked(path)
  const [own, parents] = await Promise.all(
    [child, parent].map((path) => orBroken(`${path}.manifest.json`, () => readManifest(path))),
  )
  if (own!.parent_file !== basename(qcow2(parent)) || own!.parent_digest !== identityOf(parents!))
    throw broken(`${basename(child)} does not build on ${basename(parent)}`)
  const grandparent = below[0] === undefined ? null : basename(qcow2(below[0]))
  const headers = await Promise.all([
    orBroken(child, () => checkHeader(qcow2(child), basename(qcow2(parent)))),
    orBroken(parent, () => checkHeader(qcow2(parent), grandparent)),
  ])
  if (headers[0]!.virtualSize !== headers[1]!.virtualSize || headers[0]!.clusterBits !== headers[1]!.clusterBits)
    throw broken('their disks are of different sizes')
}

/**
 * Writes what the child says into the parent's file, durably, and looks whether it is there.
 * @param onProgress hears the share that is done, 0 to 1
 * @throws CHAIN_BROKEN, INSUFFICIENT_STORAGE; after an error the child reads as before, and the same call begins anew
 */
export const prepareMerge = async (
  paths: MergePaths,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<void> => {
  const { child, parent, below } = paths
  const journal = await readJournal(child)
  if (journal?.manifest || (!journal && (await isMerged(paths)))) return
  await checkMergeable(paths)
  const own = await orBroken(`${child}.manifest.json`, () => readManifest(child))
  const parents = await orBroken(`${parent}.manifest.json`, () => readManifest(parent))
  for (const path of [child, parent]) await unlock(path)
  // From here on the parent is no restore point.
  await writeJournal(child, { parent: basename(parent), manifest: null })
  for (const path of [child, parent]) await chmod(qcow2(path), 0o600)
  startThreads()
  await commit([child, parent, ...below].map(qcow2), onProgress, signal)
  signal.throwIfAborted()
  // Looked at while it goes to the disk: what is read is what is being written there, and an error of the disk is the flush's to tell.
  const [difference, structure] = await Promise.all([
    mergedDifference(qcow2(child), qcow2(parent), signal),
    structureChecksum(qcow2(parent), signal),
    checkStructure(qcow2(parent)),
    syncPath(qcow2(parent)),
  ])
  if (difference !== null) throw new Error(`the merged file differs at ${difference}`)
  for (const path of [child, parent]) {
    await chown(qcow2(path), process.getuid!(), process.getgid!())
    await chmod(qcow2(path), 0o444)
  }
  await syncPath(qcow2(parent))
  const { size, blocks } = await stat(qcow2(parent))
  const { digest: _, ...rest } = own
  const manifest = {
    ...rest,
    backup_type: parents.backup_type,
    parent_backup_id: parents.parent_backup_id,
    parent_file: parents.parent_file,
    parent_digest: parents.parent_digest,
    file_size_bytes: size,
    stored_bytes: blocks * 512,
    checksums: { ...own.checksums, structure_digest: structure.toString('hex') },
    origin_digest: identityOf(own),
  }
  const sealed = readSelfChecked<Manifest>(selfChecked(manifest))
  await writeJournal(child, { parent: basename(parent), manifest: sealed })
}

/** The parent's file takes the child's place. Nobody may be reading either. @throws CHAIN_BROKEN when it was not prepared */
export const finishMerge = async (paths: MergePaths): Promise<Merged> => {
  const { child, parent } = paths
  const journal = await readJournal(child)
  if (!journal) {
    if (!(await isMerged(paths))) throw broken(`${basename(child)} is not prepared`)
    const { stored_bytes } = await orBroken(`${child}.manifest.json`, () => readManifest(child))
    return { storedBytes: stored_bytes }
  }
  if (journal.parent !== basename(parent) || !journal.manifest) throw broken(`${basename(child)} is not prepared`)
  const folder = dirname(child)
  // What the child's file took is given back once it is closed, which takes the filesystem as long as a third of the merge: nobody waits for that.
  const replaced = await open(qcow2(child), 'r').catch(() => undefined)
  try {
    // Both steps at once for whoever reads the folder: a file that is gone has been renamed.
    if (await exists(qcow2(parent))) await rename(qcow2(parent), qcow2(child))
  } finally {
    replaced?.close().catch(() => undefined)
  }
  await syncPath(folder)
  const { digest: _, ...manifest } = journal.manifest
  await writeDurably(`${child}.manifest.json`, selfChecked(manifest), 0o444)
  for (const suffix of ['.manifest.json', '.blocks']) await rm(`${parent}${suffix}`, { force: true })
  await rm(journalOf(child), { force: true })
  await syncPath(folder)
  return { storedBytes: manifest.stored_bytes }
}

/** Whether an earlier call has done it all. */
const isMerged = async ({ child, parent }: MergePaths): Promise<boolean> => {
  if (await exists(qcow2(parent))) return false
  return readManifest(child).then(
    ({ origin_digest, parent_file }) => origin_digest !== undefined && parent_file !== basename(qcow2(parent)),
    () => false,
  )
}

const progressPattern = /\((\d+(?:\.\d+)?)\/100%\)/g

/** @param paths of the chain's files, newest first */
const commit = async (
  paths: readonly string[],
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<void> => {
  // -d: the child's own file stays as it is.
  const image = `json:${JSON.stringify(mergeNode(paths.map((_, at) => handedPath(at))))}`
  const user = nextUser()
  const handles = await openFor(user, paths, (at) => at <= 1)
  const tool = await startDaemon(program.qemuImg, ['commit', '-p', '-d', '-t', 'writeback', '--', image], {
    isTalkedTo: true,
    user,
    fds: handles.map(({ fd }) => fd),
  }).finally(() => closeAll(handles))
  tool.input?.end()
  tool.output?.setEncoding('utf8').on('data', (text: string) => {
    const last = [...text.matchAll(progressPattern)].at(-1)
    if (last) onProgress(Number(last[1]) / 100)
  })
  const end = () => tool.kill('SIGKILL')
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  const { exitCode, signal: killedBy, stderr } = await tool.ended
  signal.removeEventListener('abort', end)
  signal.throwIfAborted()
  if (exitCode === 0 && stderr.trim() === '') return
  if (/No space left|Disk quota/.test(stderr)) throw new HubError('INSUFFICIENT_STORAGE', 'The repository is full')
  throw new HubError('SERVICE_UNAVAILABLE', 'The merge was cut off', {
    details: `qemu-img ended with ${exitCode ?? killedBy}: ${stderr.trim()}`.slice(0, 500),
  })
}
