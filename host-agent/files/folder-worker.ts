/** A thread that does many things in an open folder in one go, each by a plain call; see folder-threads.ts. */
import { closeSync, constants, type Dirent, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import {
  entryKind,
  type FolderTask,
  type FolderTasks,
  joinNames,
  memoryOf,
  splitNames,
  statFields,
} from './folder-tasks.ts'
import { walkSome } from './folder-walk.ts'
import { below } from './resolve.ts'

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

const kindOf = (entry: Dirent<Buffer>) =>
  entry.isDirectory() ? entryKind.directory : entry.isSymbolicLink() ? entryKind.symlink : entryKind.other

const list = ({ fd }: FolderTasks['list']['take']): FolderTasks['list']['give'] => {
  // Some filesystems tell no kinds with the names; Node asks for each then, here without a thread for it.
  const entries = readdirSync(`/proc/self/fd/${fd}`, { withFileTypes: true, encoding: 'buffer' })
  return { names: joinNames(entries.map(({ name }) => name)), kinds: Uint8Array.from(entries, kindOf) }
}

const lstat = (path: Buffer) => lstatSync(path, { bigint: true })
const statAll = (paths: readonly Buffer[]) => paths.map(lstat)
const inFields = (all: readonly ReturnType<typeof lstat>[]) =>
  BigInt64Array.from(all.flatMap((one) => statFields.map((field) => one[field])))

const stat = ({ fd, names }: FolderTasks['stat']['take']): FolderTasks['stat']['give'] => ({
  stats: inFields(statAll(splitNames(names).map((name) => below(fd, name)))),
})

const readFile = (path: Buffer, size: number): Buffer => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const data = Buffer.allocUnsafe(size)
    for (let filled = 0; filled < size; ) {
      const bytes = readSync(file, data, filled, size - filled, filled)
      if (bytes === 0) throw new Error('the file ended early')
      filled += bytes
    }
    return data
  } finally {
    closeSync(file)
  }
}

const read = ({ fd, names, fileBytesMax }: FolderTasks['read']['take']): FolderTasks['read']['give'] => {
  const paths = splitNames(names).map((name) => below(fd, name))
  const all = statAll(paths)
  const contents: Buffer[] = []
  const errors: (string | null)[] = []
  let length = 0
  const ends = all.map((one, at) => {
    const isSmall = one.isFile() && one.size <= BigInt(fileBytesMax)
    errors[at] = null
    if (!isSmall && !one.isSymbolicLink()) return -1
    try {
      const path = paths[at]!
      const content = isSmall ? readFile(path, Number(one.size)) : readlinkSync(path, { encoding: 'buffer' })
      contents.push(content)
      length += content.length
      return length
    } catch (error) {
      errors[at] = codeOf(error)
      return -1
    }
  })
  return { stats: inFields(all), contents: new Uint8Array(Buffer.concat(contents)), ends, errors }
}

const perform = (task: FolderTask) => {
  switch (task.kind) {
    case 'list':
      return list(task)
    case 'stat':
      return stat(task)
    case 'read':
      return read(task)
    case 'walk':
      return walkSome(task)
  }
}

const port = parentPort!
port.on('message', (task: FolderTask) => {
  try {
    const result = perform(task)
    port.postMessage(result, memoryOf(result))
  } catch (error) {
    port.postMessage({ code: codeOf(error) })
  }
})
