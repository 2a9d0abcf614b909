/** One SFTP session (draft-ietf-secsh-filexfer-02, version 3) on one mount: what reads is answered, what would change anything is refused. */
import ssh2, { type FileEntry, type SFTPWrapper, type Attributes as WireAttributes } from 'ssh2'
import { HubError } from '../contract/errors.ts'
import { FileReader } from './file-reader.ts'
import { type Attributes, absolute, type MountedTree, type Named } from './mounted-tree.ts'

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp

const handlesMax = 64
/** Clients have 64 to 128 under way. */
const pendingMax = 1024
/** What OpenSSH takes in one answer. */
const readBytesMax = 256 * 1024
/** Names of 255 bytes come twice, so these are well below that. */
const namesAtOnce = 100

type Folder = { pages: AsyncGenerator<Named[]>; rest: Named[] }
type Handle = FileReader | Folder

/** uid and gid are not said: names of a guest's users mean nothing here. */
const wire = ({ mode, size, mtime, atime }: Attributes) => ({ mode, size, mtime, atime }) as WireAttributes
const entryOf = ({ name, attributes }: Named): FileEntry => {
  const { mode, size, mtime } = attributes
  const date = new Date(mtime * 1000).toISOString().slice(0, 16).replace('T', ' ')
  return { filename: name, longname: `${mode.toString(8)} 1 - - ${size} ${date} ${name}`, attrs: wire(attributes) }
}

const statusOf = (error: unknown): [code: number, words: string] => {
  if (!(error instanceof HubError)) return [STATUS_CODE.FAILURE, 'The file can not be read']
  const words = error.details ? `${error.message}: ${error.details}` : error.message
  if (error.code === 'FILE_NOT_FOUND') return [STATUS_CODE.NO_SUCH_FILE, words]
  if (error.code === 'PATH_FORBIDDEN' || error.code === 'PATH_INVALID') return [STATUS_CODE.PERMISSION_DENIED, words]
  return [STATUS_CODE.FAILURE, words]
}
const readOnly = new HubError('PATH_FORBIDDEN', 'A mount is read-only')

export type SessionOptions = {
  tree: MountedTree
  /** Called before a file is opened. */
  onOpen: (path: string) => Promise<void>
  /** Called with what is not an error of the contract. */
  onTrouble: (error: unknown) => void
  /** The client asks for more than it may. */
  onFlood: () => void
}

export const serveSession = (sftp: SFTPWrapper, { tree, onOpen, onTrouble, onFlood }: SessionOptions): void => {
  const handles = new Map<number, Handle>()
  let nextHandle = 0
  let pending = 0

  /** Answers one request, or says why not. */
  const answer = async (id: number, work: () => Promise<void>) => {
    if (++pending > pendingMax) return onFlood()
    try {
      await work()
    } catch (error) {
      if (!(error instanceof HubError)) onTrouble(error)
      const [code, words] = statusOf(error)
      sftp.status(id, code, words)
    } finally {
      pending--
    }
  }
  const give = (id: number, handle: Handle) => {
    const number = nextHandle++
    handles.set(number, handle)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(number)
    sftp.handle(id, bytes)
  }
  const checkRoom = () => {
    if (handles.size >= handlesMax) throw new HubError('SERVICE_UNAVAILABLE', `More than ${handlesMax} files are open`)
  }
  const numberOf = (handle: Buffer) => (handle.length === 4 ? handle.readUInt32BE() : -1)
  const handleOf = <K extends Handle>(handle: Buffer, isKind: (found: Handle) => found is K): K => {
    const found = handles.get(numberOf(handle))
    if (!found || !isKind(found)) throw new HubError('FILE_NOT_FOUND', 'This is no open file or folder')
    return found
  }
  const isFile = (found: Handle): found is FileReader => found instanceof FileReader
  const isFolder = (found: Handle): found is Folder => !isFile(found)

  sftp.on('REALPATH', (id, path) =>
    answer(id, async () => sftp.name(id, [{ filename: absolute(path), longname: absolute(path), attrs: {} as never }])),
  )
  sftp.on('LSTAT', (id, path) => answer(id, async () => sftp.attrs(id, wire(await tree.attributes(path)))))
  sftp.on('STAT', (id, path) => answer(id, async () => sftp.attrs(id, wire(await tree.attributesThroughLinks(path)))))
  sftp.on('FSTAT', (id, handle) => answer(id, async () => sftp.attrs(id, wire(handleOf(handle, isFile).attributes))))
  sftp.on('READLINK', (id, path) =>
    answer(id, async () => {
      const target = await tree.linkTarget(path)
      sftp.name(id, [{ filename: target, longname: target, attrs: {} as never }])
    }),
  )
  sftp.on('OPENDIR', (id, path) =>
    answer(id, async () => {
      checkRoom()
      const pages = tree.entries(path)
      // Asked for at once: what is no folder is said here.
      const { value, done } = await pages.next()
      give(id, { pages, rest: done ? [] : value })
    }),
  )
  sftp.on('READDIR', (id, handle) =>
    answer(id, async () => {
      const folder = handleOf(handle, isFolder)
      while (folder.rest.length === 0) {
        const { value, done } = await folder.pages.next()
        if (done) return sftp.status(id, STATUS_CODE.EOF)
        folder.rest = value
      }
      sftp.name(id, folder.rest.splice(0, namesAtOnce).map(entryOf))
    }),
  )
  sftp.on('OPEN', (id, path, flags) =>
    answer(id, async () => {
      if (flags & ~OPEN_MODE.READ) throw readOnly
      checkRoom()
      const file = await tree.open(path)
      await onOpen(absolute(path))
      give(id, new FileReader(tree, file))
    }),
  )
  sftp.on('READ', (id, handle, offset, length) =>
    answer(id, async () => {
      const bytes = await handleOf(handle, isFile).read(offset, Math.min(length, readBytesMax))
      if (bytes.length === 0) sftp.status(id, STATUS_CODE.EOF)
      else sftp.data(id, bytes)
    }),
  )
  sftp.on('CLOSE', (id, handle) =>
    answer(id, async () => {
      const found = handles.get(numberOf(handle))
      handles.delete(numberOf(handle))
      if (found && isFile(found)) await found.close()
      sftp.status(id, STATUS_CODE.OK)
    }),
  )
  for (const change of ['WRITE', 'SETSTAT', 'FSETSTAT', 'REMOVE', 'MKDIR', 'RMDIR', 'RENAME', 'SYMLINK'] as const)
    sftp.on(change as 'REMOVE', (id: number) => answer(id, () => Promise.reject(readOnly)))
  const letGo = () => {
    for (const handle of handles.values()) if (isFile(handle)) void handle.close()
    handles.clear()
  }
  // The client waits for our end, too.
  sftp.once('end', () => sftp.end())
  sftp.once('close', letGo)
}
