/** Makes QCOW2 files, and follows the chains of those that are there. */
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { HubError } from '../../contract/errors.ts'
import type { UserIds } from '../../contract/settings.ts'
import { syncPath } from '../../durable/write-file.ts'
import { program, run } from '../exec.ts'
import { closeAll, openFor } from '../handed-files.ts'
import { nextUser } from '../qemu-users.ts'
import { handedPath } from '../run-tool.ts'
import { checkHeader, type Header, readHeader } from './qcow2.ts'

/** 64 KiB measured best, and it is what change tracking counts in (docs/architecture.md). */
const clusterBytes = 65536

/**
 * Has qemu-img make a QCOW2 file of a new, empty one.
 * @param backing what its header names, which is not looked at
 */
export const writeEmptyImage = async (
  path: string,
  virtualSize: number,
  {
    backing,
    user,
    options = [],
  }: { backing: [name: string, format: string] | null; user: UserIds; options?: string[] },
) => {
  // Made here, exclusively: qemu-img would overwrite what is there.
  await (await open(path, 'wx', 0o600)).close()
  await closeAll(await openFor(user, [path], () => true))
  const below = backing === null ? [] : ['-u', '-b', backing[0], '-F', backing[1]]
  const args = ['create', '-q', '-f', 'qcow2', ...options, ...below, '--', handedPath(0), String(virtualSize)]
  await run(program.qemuImg, args, { user, files: [path] })
}

/** A new file that holds nothing yet; its parent is named by a relative name, so that a repository can be moved. */
export const createImage = async (path: string, virtualSize: number, parentBase: string | null) => {
  const parent = parentBase === null ? null : `${parentBase}.qcow2`
  await writeEmptyImage(path, virtualSize, {
    backing: parent === null ? null : [parent, 'qcow2'],
    user: nextUser(),
    options: ['-o', `cluster_size=${clusterBytes}`],
  })
  await checkHeader(path, parent)
  await syncPath(dirname(path))
}

const chainFilesMax = 1000
/** The chain of a file that is on disk, following its headers inside its own folder only. @throws CHAIN_BROKEN, PATH_INVALID */
export const chainOnDisk = async (path: string): Promise<string[]> => {
  const paths: string[] = []
  for (let next: string | null = path; next !== null; ) {
    if (paths.includes(next) || paths.length === chainFilesMax)
      throw new HubError('CHAIN_BROKEN', 'The chain has no end')
    paths.push(next)
    const { backingFile: backing }: Header = await readHeader(next).catch((cause: unknown) => {
      throw cause instanceof HubError
        ? cause
        : new HubError('CHAIN_BROKEN', 'A file of the chain is missing', { cause })
    })
    if (backing !== null && backing !== basename(backing))
      throw new HubError('CHAIN_BROKEN', 'The chain leaves its folder')
    next = backing === null ? null : `${dirname(next)}/${backing}`
  }
  return paths
}
