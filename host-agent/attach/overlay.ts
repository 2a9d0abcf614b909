/** A throw-away QCOW2 over a chain: journals are replayed into it, and it goes with the mount. */
import { join } from 'node:path'
import { program, run } from '../exec.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { AttachRequest, AttachSource } from './backend.ts'

/** A replayed journal took 0.2 to 2.8 MB where it was measured; the largest journals of mkfs defaults are 1 GiB. */
export const overlayBytesMax = 2 * 1024 ** 3

const overlayPath = (runDir: string) => join(runDir, 'overlay.qcow2')

/** A name that is never followed: what lies below is always given to QEMU beside the file. */
const givenBeside = 'below'
export const createOverlay = async (path: string, sizeBytes: number): Promise<void> => {
  // -u: the backing file is not opened here.
  const backing = ['-u', '-b', givenBeside, '-F', 'raw']
  await run(program.qemuImg, ['create', '-q', '-f', 'qcow2', ...backing, '--', path, String(sizeBytes)])
}

/** Reads a volume that is put together elsewhere. */
export const nbdNode = (socket: string, exportName: string): Record<string, unknown> => ({
  driver: 'nbd',
  server: { type: 'unix', path: socket },
  export: exportName,
  'read-only': true,
})

const sourceNode = (source: AttachSource): Record<string, unknown> => {
  if ('socket' in source) return nbdNode(source.socket, source.exportName)
  const disk = chainNode(source.chain, true)
  const { offsetBytes: offset, sizeBytes: size } = source
  return source.isPiece ? { driver: 'raw', 'read-only': true, offset, size, file: disk } : disk
}

/** The block node to attach: the source itself, or an overlay on it. */
export const attachNode = async ({ runDir, source, overlay }: AttachRequest): Promise<Record<string, unknown>> => {
  if (overlay === 'none') return sourceNode(source)
  if (overlay === 'replay') await createOverlay(overlayPath(runDir), source.sizeBytes)
  const readOnly = overlay === 'replayed'
  return {
    driver: 'qcow2',
    'read-only': readOnly,
    file: { driver: 'file', filename: overlayPath(runDir), 'read-only': readOnly },
    backing: sourceNode(source),
    discard: 'unmap',
  }
}
