/** A throw-away QCOW2 over a chain: journals are replayed into it, and it goes with the mount. */
import { join } from 'node:path'
import type { UserIds } from '../../contract/settings.ts'
import { writeEmptyImage } from '../exports/images.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { AttachRequest, AttachSource } from './backend.ts'

/** A replayed journal took 0.2 to 2.8 MB where it was measured; the largest journals of mkfs defaults are 1 GiB. */
export const overlayBytesMax = 2 * 1024 ** 3

export const overlayPath = (runDir: string) => join(runDir, 'overlay.qcow2')

/** A name that is never followed: what lies below is always given to QEMU beside the file. */
const givenBeside = 'below'
/** @param user who writes it, and nobody else */
export const createOverlay = (path: string, sizeBytes: number, user: UserIds): Promise<void> =>
  writeEmptyImage(path, sizeBytes, { backing: [givenBeside, 'raw'], user })

/** Reads a volume that is put together elsewhere. */
export const nbdNode = (socket: string, exportName: string): Record<string, unknown> => ({
  driver: 'nbd',
  server: { type: 'unix', path: socket },
  export: exportName,
  'read-only': true,
})

/** What QEMU calls the files of the host. */
export type NameOf = (path: string) => string

const sourceNode = (source: AttachSource, nameOf: NameOf): Record<string, unknown> => {
  if ('socket' in source) return nbdNode(nameOf(source.socket), source.exportName)
  const disk = chainNode(source.chain.map(nameOf), true)
  const { offsetBytes: offset, sizeBytes: size } = source
  return source.isPiece ? { driver: 'raw', 'read-only': true, offset, size, file: disk } : disk
}

/** The block node to attach: the source itself, or an overlay on it, which is there already. */
export const attachNode = ({ runDir, source, overlay }: AttachRequest, nameOf: NameOf): Record<string, unknown> => {
  const below = sourceNode(source, nameOf)
  if (overlay === 'none') return below
  const readOnly = overlay === 'replayed'
  return {
    driver: 'qcow2',
    'read-only': readOnly,
    file: { driver: 'file', filename: nameOf(overlayPath(runDir)), 'read-only': readOnly },
    backing: below,
    discard: 'unmap',
  }
}
