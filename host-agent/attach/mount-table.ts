/** Mounting and unmounting, judged by the kernel's own table. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { program, run } from '../exec.ts'

/** mountinfo writes space, tab, newline and backslash as octal. */
export const plainPath = (text: string) =>
  text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** Mount points of this host, in the order they were mounted. */
export const mountPoints = async (): Promise<string[]> => {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  return table
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => plainPath(line.split(' ')[4]!))
}

export const isMounted = async (path: string) => (await mountPoints()).includes(path)

const busyTriesMax = 50

/** Unmounts what is mounted there, waiting while it is busy. Nothing mounted: nothing to do. @throws when it stays busy */
export const unmount = async (path: string): Promise<void> => {
  for (let attempt = 1; await isMounted(path); attempt++) {
    try {
      await run(program.umount, ['--', path])
    } catch (error) {
      if (attempt === busyTriesMax) throw error
      await sleep(100)
    }
  }
}
