/** A throw-away QCOW2 over a chain: journals are replayed into it, and it goes with the mount. */
import { join } from 'node:path'
import { program, run } from '../exec.ts'
import { chainNode } from '../exports/qcow2.ts'

/** A replayed journal took 0.2 to 2.8 MB where it was measured; the largest journals of mkfs defaults are 1 GiB. */
export const overlayBytesMax = 2 * 1024 ** 3

/** The block node to attach: the chain itself, read-only, or an overlay on it. */
export const attachNode = async ({
  runDir,
  chain,
  virtualSize,
  overlay,
}: {
  runDir: string
  chain: readonly string[]
  virtualSize: number
  overlay: boolean
}): Promise<Record<string, unknown>> => {
  if (!overlay) return chainNode(chain, true)
  const path = join(runDir, 'overlay.qcow2')
  // -u: the backing file is not opened here, and its name in this header is never followed.
  await run(program.qemuImg, [
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
    path,
    String(virtualSize),
  ])
  return {
    driver: 'qcow2',
    file: { driver: 'file', filename: path },
    backing: chainNode(chain, true),
    discard: 'unmap',
  }
}
