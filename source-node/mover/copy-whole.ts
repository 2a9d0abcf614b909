/** Copies a raw file into an empty export with the stock tool, which reads files faster than a client of our own. */
import { startChild } from '../exec.ts'
import type { NbdTarget } from '../sources/source.ts'
import type { Progress } from './progress.ts'

/** Measured best with qemu-nbd: two connections, one MiB a request. */
const connections = 2
const requestBytes = 1024 * 1024

/** Holes and zeros are skipped: the export is new and reads as zeros. @returns bytes of the disk */
export const copyWhole = async (
  path: string,
  size: number,
  { host, port, exportName }: NbdTarget,
  progress: Progress,
  signal: AbortSignal,
): Promise<number> => {
  progress.setTotal(size)
  const copy = startChild(
    '/usr/bin/nbdcopy',
    [
      '--destination-is-zero',
      '--flush',
      `--connections=${connections}`,
      `--request-size=${requestBytes}`,
      '--progress=3',
      '--',
      path,
      `nbd://${host}:${port}/${encodeURIComponent(exportName)}`,
    ],
    signal,
  )
  copy.onLine((line) => {
    const percent = Number(/^(\d+)\/100$/.exec(line.trim())?.[1])
    // All of it is there when it is flushed, not when the last byte was sent.
    if (percent >= 0) progress.setDone(Math.min(size - 1, Math.floor((size * percent) / 100)))
  })
  await copy.ended
  progress.setDone(size)
  return size
}
