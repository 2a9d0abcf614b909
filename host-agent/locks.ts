/**
 * Makes files of a restore point immutable until a date: the kernel refuses to change or remove them, for root as well. The date lies beside them; it
 * can be put off and never brought forward, and nobody but this file lifts a lock.
 */
import { readFile, rm, stat } from 'node:fs/promises'
import { HubError } from '../contract/errors.ts'
import { program, run } from './exec.ts'
import { readSelfChecked, selfChecked } from './exports/self-checked.ts'
import { writeDurably } from './ledger.ts'

const lockSuffix = '.lock.json'
const lockedSuffixes = ['.qcow2', '.blocks', '.manifest.json', lockSuffix]

/** @param path of the disk's file, without suffix @returns undefined when it was never locked @throws Error when the lock can not be read */
const lockedUntil = async (path: string): Promise<Date | undefined> => {
  let text: string
  try {
    text = await readFile(`${path}${lockSuffix}`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return new Date(readSelfChecked<{ until: string }>(text).until)
}

const present = async (path: string): Promise<string[]> => {
  const found: string[] = []
  for (const suffix of lockedSuffixes) {
    const file = `${path}${suffix}`
    const isThere = await stat(file).then(
      () => true,
      () => false,
    )
    if (isThere) found.push(file)
  }
  return found
}
const setFlag = async (path: string, flag: '+i' | '-i'): Promise<void> => {
  const files = await present(path)
  if (files.length > 0) await run(program.chattr, [flag, '--', ...files])
}

/** @throws IMMUTABLE_RETENTION_ACTIVE while a lock holds, or when it can not be read */
export const refuseLocked = async (path: string): Promise<void> => {
  const refuse = (details: string, cause?: unknown) =>
    new HubError('IMMUTABLE_RETENTION_ACTIVE', 'The backup is protected by its repository', { details, cause })
  const until = await lockedUntil(path).catch((cause: unknown) => {
    throw refuse('its lock can not be read', cause)
  })
  if (until && until > new Date()) throw refuse(`until ${until.toISOString()}`)
}

/** Locks a sealed file; one that is locked for longer stays so. Can be repeated. @throws Error where the filesystem has no such flag */
export const lock = async (path: string, until: Date): Promise<void> => {
  const present = await lockedUntil(path)
  if (!present || present < until) {
    await setFlag(path, '-i')
    await writeDurably(`${path}${lockSuffix}`, selfChecked({ until: until.toISOString() }), 0o444)
  }
  await setFlag(path, '+i')
}

/** Lifts a lock whose date has passed. @throws IMMUTABLE_RETENTION_ACTIVE */
export const unlock = async (path: string): Promise<void> => {
  await refuseLocked(path)
  if (!(await lockedUntil(path))) return
  await setFlag(path, '-i')
  await rm(`${path}${lockSuffix}`, { force: true })
}

/** Lets damaged files be written again with what was sealed, and locks them again. */
export const whileHealed = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
  const isLocked = (await lockedUntil(path).catch(() => undefined)) !== undefined
  if (!isLocked) return work()
  await setFlag(path, '-i')
  try {
    return await work()
  } finally {
    await setFlag(path, '+i')
  }
}

/** Whether files in a folder can be locked. @throws Error when they can not */
export const probeLocks = async (folder: string): Promise<void> => {
  const probe = `${folder}/.sendense-lock-probe-${process.pid}`
  await writeDurably(probe, 'probe')
  try {
    await run(program.chattr, ['+i', '--', probe])
    const isRemovable = await rm(probe).then(
      () => true,
      () => false,
    )
    if (isRemovable) throw new Error('the flag has no effect')
  } finally {
    await run(program.chattr, ['-i', '--', probe]).catch(() => undefined)
    await rm(probe, { force: true })
  }
}
