/** A throw-away QCOW2 over a chain: journals are replayed into it, and it goes with the mount. */
import { join } from 'node:path'
import { program, run } from '../exec.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { AttachRequest } from './backend.ts'

/** A replayed journal took 0.2 to 2.8 MB where it was measured; the largest journals of mkfs defaults are 1 GiB. */
export const overlayBytesMax = 2 * 1024 ** 3

export const overlayName = 'overlay.qcow2'
const overlayPath = (runDir: string) => join(runDir, overlayName)

/** @returns its path */
export const createOverlay = async ({
  runDir,
  chain,
  virtualSize,
}: Omit<AttachRequest, 'overlay'>): Promise<string> => {
  const path = overlayPath(runDir)
  // -u: the backing file is not opened here, and its name in this header is never followed.
  const backing = ['-u', '-b', chain[0]!, '-F', 'qcow2']
  await run(program.qemuImg, ['create', '-q', '-f', 'qcow2', ...backing, '--', path, String(virtualSize)])
  return path
}

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
