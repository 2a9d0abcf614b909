/** Digests a file's blocks beside its copy, in a process that runs only while a core is idle: the copy is what somebody waits for. */

import { execa } from 'execa'
import { blockCount, digestBytes } from './block-maps.ts'

const script = new URL(import.meta.url.endsWith('.ts') ? './hash-process.ts' : './hash-process.js', import.meta.url)
  .pathname

/** @returns the map */
export const hashInBackground = async (path: string, size: number, signal: AbortSignal): Promise<Buffer> => {
  const subprocess = execa(
    '/usr/bin/setpriv',
    ['--pdeathsig', 'KILL', '--', '/usr/bin/chrt', '--idle', '0', process.execPath, script, path, String(size)],
    {
      env: { PATH: '/usr/bin:/bin' },
      extendEnv: false,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      buffer: { fd3: true, stderr: true },
      encoding: 'buffer',
      maxBuffer: { fd3: blockCount(size) * digestBytes + 1, stderr: 65_536 },
      cancelSignal: signal,
    },
  )
  const { stdio } = await subprocess
  const map = Buffer.from(stdio[3] as Uint8Array)
  if (map.length !== blockCount(size) * digestBytes) throw new Error('the digests of the disk are not complete')
  return map
}
