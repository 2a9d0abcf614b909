/** Makes QCOW2 files, and follows the chains of those that are there. */
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { HubError } from '../../contract/errors.ts'
import { syncPath } from '../../durable/write-file.ts'
import { program, run } from '../exec.ts'
import { checkHeader, type Header, readHeader } from './qcow2.ts'

/** 64 KiB measured best, and it is what change tracking counts in (docs/architecture.md). */
const clusterBytes = 65536

/** A new file that holds nothing yet; its parent is named by a relative name, so that a repository can be moved. */
export const createImage = async (path: string, virtualSize: number, parentBase: string | null) => {
  // Made here first, exclusively: qemu-img would overwrite what is there.
  await (await open(path, 'wx', 0o600)).close()
  const backing = parentBase === null ? [] : ['-u', '-b', `${parentBase}.qcow2`, '-F', 'qcow2']
  await run(program.qemuImg, [
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    `cluster_size=${clusterBytes}`,
    ...backing,
    '--',
    path,
    String(virtualSize),
  ])
  await checkHeader(path, parentBase === null ? null : `${parentBase}.qcow2`)
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
