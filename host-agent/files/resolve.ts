/**
 * Finds a guest's file by its path, component by component and without following anything by itself: symlinks are re-rooted by
 * hand, `..` never leaves the partition, and what was found is proved to lie in the mount. Names are bytes.
 */
import { type BigIntStats, constants, readFileSync } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { HubError } from '../../contract/errors.ts'

/** O_PATH: names a file without opening it, so that a FIFO or a device is never touched. Node has no constant for it. */
const O_PATH = 0o10000000
const pathFlags = O_PATH | constants.O_NOFOLLOW
const slash = 0x2f
/** As many as Linux follows itself. */
const symlinksMax = 40
export const pathBytesMax = 4096

/** A partition that is mounted: its root stays open, and its mount id tells its files from everything else. */
export type PartitionRoot = { handle: FileHandle; mountId: string }

export const openRoot = async (path: string): Promise<PartitionRoot> => {
  const handle = await open(path, pathFlags | constants.O_DIRECTORY)
  return { handle, mountId: mountIdOf(handle.fd) }
}

/** The kernel answers from its memory, sooner than a thread would begin to ask. */
const mountIdOf = (fd: number): string =>
  /mnt_id:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? 'unknown'

/** A path below an open folder, as bytes. */
export const below = (fd: number, name: Buffer) => Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name])

/** @throws PATH_INVALID */
export const splitPath = (path: Buffer): Buffer[] => {
  if (path.length === 0 || path[0] !== slash || path.includes(0))
    throw new HubError('PATH_INVALID', 'The path must be absolute and hold no NUL')
  if (path.length > pathBytesMax) throw new HubError('PATH_INVALID', `The path is longer than ${pathBytesMax} bytes`)
  return components(path)
}

const components = (path: Buffer): Buffer[] => {
  const parts: Buffer[] = []
  let from = 0
  for (let at = 0; at <= path.length; at++) {
    if (at < path.length && path[at] !== slash) continue
    const part = path.subarray(from, at)
    if (part.length > 0 && !part.equals(dot)) parts.push(part)
    from = at + 1
  }
  return parts
}
const dot = Buffer.from('.')
const dotDot = Buffer.from('..')

const notFound = (cause?: unknown) => new HubError('FILE_NOT_FOUND', 'There is no such file or directory', { cause })
const leaves = () => new HubError('PATH_FORBIDDEN', 'The path leaves the partition')
const missingCodes = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EACCES', 'EINVAL'])

const openPath = async (fd: number, name: Buffer): Promise<FileHandle> => {
  try {
    return await open(below(fd, name), pathFlags)
  } catch (cause) {
    if (missingCodes.has((cause as NodeJS.ErrnoException).code ?? '')) throw notFound(cause)
    throw unreadable(cause)
  }
}

export const unreadable = (cause: unknown) =>
  cause instanceof HubError
    ? cause
    : new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read here", {
        details: (cause as NodeJS.ErrnoException).code ?? '',
        cause,
      })

export type Located = {
  /** Opened with O_PATH; the caller closes it. */
  handle: FileHandle
  stat: BigIntStats
  /** Its true path, without symlinks. */
  path: Buffer[]
}

/**
 * @param followLast whether a symlink at the end is followed
 * @throws FILE_NOT_FOUND, PATH_FORBIDDEN
 */
export const locate = async (root: PartitionRoot, parts: readonly Buffer[], followLast: boolean): Promise<Located> => {
  const stack: { handle: FileHandle; name: Buffer }[] = []
  const waiting = [...parts]
  let symlinks = 0
  const top = () => stack.at(-1)?.handle ?? root.handle
  try {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      if (part.equals(dotDot)) {
        if (stack.length === 0) throw leaves()
        await stack.pop()!.handle.close()
        continue
      }
      const parent = top()
      const handle = await openPath(parent.fd, part)
      const isLink = (await handle.stat()).isSymbolicLink()
      if (!isLink || (waiting.length === 0 && !followLast)) {
        stack.push({ handle, name: part })
        continue
      }
      await handle.close()
      if (++symlinks > symlinksMax) throw notFound()
      const target = await readlink(below(parent.fd, part), { encoding: 'buffer' })
      waiting.unshift(...components(target))
      // An absolute target is meant from the root of the guest's partition.
      if (target[0] === slash) for (const { handle: left } of stack.splice(0)) await left.close()
    }
    const last = stack.pop()
    const handle = last?.handle ?? (await open(`/proc/self/fd/${root.handle.fd}`, O_PATH | constants.O_DIRECTORY))
    try {
      // Whatever happened on the way: it lies in this very mount, or it is not served.
      if (mountIdOf(handle.fd) !== root.mountId) throw leaves()
      return {
        handle,
        stat: await handle.stat({ bigint: true }),
        path: [...stack, ...(last ? [last] : [])].map(({ name }) => name),
      }
    } catch (error) {
      await handle.close()
      throw error
    }
  } finally {
    for (const { handle } of stack) await handle.close()
  }
}

/** Opens what was located for reading. Only for regular files and directories. */
export const reopen = async ({ handle, stat }: Located): Promise<FileHandle> => {
  const file = await open(`/proc/self/fd/${handle.fd}`, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  const opened = await file.stat({ bigint: true })
  if (opened.ino !== stat.ino || opened.dev !== stat.dev) {
    await file.close()
    throw leaves()
  }
  return file
}

export const joinPath = (parts: readonly Buffer[]): Buffer =>
  parts.length === 0 ? Buffer.from('/') : Buffer.concat(parts.flatMap((part) => [Buffer.from('/'), part]))
