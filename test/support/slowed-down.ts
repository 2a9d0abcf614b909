/** Work that would be over before anybody has looked. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It has ended.
  }
}

/**
 * Lets a program's processes run a tenth of the time only.
 * @param parent whose children they are
 * @returns when `signal` is aborted; whatever still runs goes on by itself then
 */
export const slowedDown = async (parent: number, program: string, signal: AbortSignal): Promise<void> => {
  const tell = (kind: 'SIGSTOP' | 'SIGCONT') => {
    for (const child of textOf(`/proc/${parent}/task/${parent}/children`).split(' '))
      if (child !== '' && textOf(`/proc/${child}/cmdline`).startsWith(`${program}\0`))
        try {
          process.kill(Number(child), kind)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // It ended just now.
        }
  }
  while (!signal.aborted) {
    tell('SIGSTOP')
    await sleep(270)
    tell('SIGCONT')
    await sleep(30)
  }
}
