/**
 * QEMU that reads a backup's disk for this host. It is a user of its own, in a place where it sees nothing of the host but programs and what it is handed: the
 * files of the chain, and what it answers the kernel through. Where the host can make no such place, it is root.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { UserIds } from '../../contract/settings.ts'
import { program } from '../exec.ts'
import { closeAll, openFor, openForAll } from '../handed-files.ts'
import { nextUser } from '../qemu-users.ts'
import { firstHandedFd, handedPath } from '../run-tool.ts'
import { becomingThere, emptyPlace, openFilter } from '../sandbox/place.ts'
import type { AttachRequest } from './backend.ts'
import { attachNode, createOverlay, type NameOf, overlayBytesMax, overlayPath } from './overlay.ts'
import { type NamedNode, StorageDaemon } from './storage-daemon.ts'

/** What it answers the kernel through: a session of FUSE, or a socket in a folder. */
export type Answering = { session: FileHandle } | { folder: string }
/** @property node the disk, which nobody has been shown yet */
export type DiskServer = { qemu: StorageDaemon; node: NamedNode }

/** Descriptors that come before those of the files, counted from the first that is handed. */
const handed = { filter: 0, nothing: 1, session: 2 } as const
const filesFrom = 3
/**
 * libfuse takes a path of this form for a session that somebody else has mounted, and uses the descriptor (fuse_session_mount in lib/fuse_lowlevel.c). QEMU wants
 * a plain file to be there: so there is an empty one.
 */
export const sessionThere = `/dev/fd/${firstHandedFd + handed.session}`
export const folderThere = '/run/answers'
const volumeThere = '/run/volume.sock'

const place = ({ source }: AttachRequest, user: UserIds, answering: Answering): string[] => [
  // Not bubblewrap's own: that sets its loopback up, which takes a right that the agent does not have.
  ...[program.unshare, '--net', '--', program.bwrap],
  ...emptyPlace(firstHandedFd + handed.filter, ['/dev', '/dev/fd', '/run']),
  ...['--dev-bind', '/dev/null', '/dev/null'],
  ...['--file', String(firstHandedFd + handed.nothing), sessionThere],
  ...('folder' in answering ? ['--bind', answering.folder, folderThere] : []),
  ...('socket' in source ? ['--bind', source.socket, volumeThere] : []),
  // bubblewrap stays the first process there, and root: only so does the kernel let the news of its parent's death end it, and QEMU with it.
  '--',
  ...becomingThere(user),
]

const limitsOf = ({ overlay }: AttachRequest) => (overlay === 'replay' ? { fileBytesMax: overlayBytesMax } : {})
const nodeFor = (request: AttachRequest, nameOf: NameOf): NamedNode => ({
  ...attachNode(request, nameOf),
  'node-name': 'disk',
})
const overlayFor = async ({ runDir, source, overlay }: AttachRequest, user: UserIds) => {
  if (overlay === 'replay') await createOverlay(overlayPath(runDir), source.sizeBytes, user)
}

/** Starts one. What it can not open it says when it is to show the disk. */
export const startDiskServer = async (request: AttachRequest, answering: Answering): Promise<DiskServer> => {
  const { runDir, source, overlay } = request
  const user = nextUser()
  await overlayFor(request, user)
  const chain = 'socket' in source ? [] : source.chain
  const own = overlay === 'none' ? [] : [overlayPath(runDir)]
  const handles: FileHandle[] = []
  try {
    handles.push(await openFilter(join(runDir, 'system-calls')))
    handles.push(await open('/dev/null', 'r'))
    const before = handles.length
    handles.push(...(await openForAll(chain)))
    handles.push(...(await openFor(user, own, () => true)))
    const session = 'session' in answering ? answering.session : handles[handed.nothing]!
    const fds = handles.toSpliced(before, 0, session).map(({ fd }) => fd)
    const qemu = await StorageDaemon.start({ fds, ...limitsOf(request) }, place(request, user, answering))
    const files = [...chain, ...own]
    const nameOf = (path: string) => (files.includes(path) ? handedPath(filesFrom + files.indexOf(path)) : volumeThere)
    return { qemu, node: nodeFor(request, nameOf) }
  } finally {
    await closeAll(handles)
  }
}

/** Starts one as root: it opens the files by their names. */
export const startDiskServerAsRoot = async (request: AttachRequest): Promise<DiskServer> => {
  await overlayFor(request, { uid: process.getuid!(), gid: process.getgid!() })
  return { qemu: await StorageDaemon.start(limitsOf(request)), node: nodeFor(request, (path) => path) }
}
