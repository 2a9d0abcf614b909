/** A throw-away QCOW2 over a chain: journals are replayed into it, and it goes with the mount. */
import { join } from 'node:path'
import { program, run } from '../exec.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { AttachRequest } from './backend.ts'

/** A replayed journal took 0.2 to 2.8 MB where it was measured; the largest journals of mkfs defaults are 1 GiB. */
export const overlayBytesMax = 2 * 1024 ** 3

const overlayPath = (runDir: string) => join(runDir, 'overlay.qcow2')

const createOverlay = ({ runDir, chain, virtualSize }: AttachRequest) =>
  // -u: the backing file is not opened here, and its name in this header is never followed.
  run(program.qemuImg, [
    'create',
    '-q',
    '-f',
    'qcow2',
    '-u',
    '-b',
    chain[0]!,
    '-F',
    'qcow2',
    '--',
    overlayPath(runDir),
    String(virtualSize),
  ])

/** The block node to attach: the chain itself, or an overlay on it. */
export const attachNode = async (request: AttachRequest): Promise<Record<string, unknown>> => {
  const { runDir, chain, overlay } = request
  if (overlay === 'none') return chainNode(chain, true)
  if (overlay === 'replay') await createOverlay(request)
  const readOnly = overlay === 'replayed'
  return {
    driver: 'qcow2',
    'read-only': readOnly,
    file: { driver: 'file', filename: overlayPath(runDir), 'read-only': readOnly },
    backing: chainNode(chain, true),
    discard: 'unmap',
  }
}
