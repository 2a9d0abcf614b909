/**
 * Lane B, the disk: when an operation begins or soon after, there is space for only a part of what it writes, in the repository and in the agent's
 * state. The kernel itself writes less than it is asked to, then nothing. When there is space again, all goes on without any hand.
 */
import { mkdirSync, mkdtempSync, rmdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sh } from '../../support/images.ts'
import type { Lane } from '../lane.ts'
import { openAgentWorld, operations } from '../support/agent-world.ts'

const roomyBytes = 2 ** 30
/** Somewhat more than any operation writes: some find space enough, and are counted apart. */
const pagesMax = 160
const fewPages = 4
/** A disk that is full when an operation begins refuses it; later than this most are over. */
const delayMaxMs = 250
const writing = operations.filter((operation) => !['verify', 'delete'].includes(operation))
const noSpace = /ENOSPC|No space left|is full/

export const fullDisk: Lane = {
  title: 'a disk that fills up: short writes, then ENOSPC, of all at once',
  open: async () => {
    const disk = mkdtempSync(join(tmpdir(), 'sendense-full-'))
    sh('/usr/bin/mount', ['-t', 'tmpfs', '-o', `size=${roomyBytes}`, 'full', disk])
    const folder = join(disk, 'agent')
    mkdirSync(folder)
    const world = await openAgentWorld({ folder })
    const resize = (bytes: number) => sh('/usr/bin/mount', ['-o', `remount,size=${bytes}`, disk])
    /** @returns whether it was done; not when somebody has taken more meanwhile */
    const takeAllBut = (pages: number): boolean => {
      const { bsize, blocks, bfree } = statfsSync(disk)
      try {
        resize((blocks - bfree + pages) * bsize)
        return true
      } catch {
        return false
      }
    }
    return {
      trial: async (random) => {
        const operation = writing[random(writing.length)]!
        const writesMuch = !['mount', 'read'].includes(operation)
        const pages = random(writesMuch && random(2) === 0 ? pagesMax : fewPages)
        const delayMs = random(2) === 0 ? 0 : random(delayMaxMs)
        const file = await world.prepare(operation)
        let answer = 'done'
        let isOver = false
        const fillUp = async () => {
          await sleep(delayMs)
          while (!isOver && !takeAllBut(pages)) await sleep(1)
        }
        const filled = fillUp()
        if (delayMs === 0) await filled
        await world.perform(operation, file).catch((error: Error) => {
          answer = error.message
        })
        isOver = true
        await filled
        const fired = statfsSync(disk).bfree === 0 || noSpace.test(answer)
        resize(roomyBytes)
        const violations = /WRONG BYTES|verification found/.test(answer) ? [answer] : []
        if (!(await world.real.isRunning())) {
          violations.push('the host-agent has died of it')
          await world.real.start()
        }
        violations.push(...(await world.check(operation, file)))
        return { fired, what: `${operation} with ${pages} pages of space after ${delayMs} ms: ${answer}`, violations }
      },
      close: async () => {
        await world.close()
        sh('/usr/bin/umount', [disk])
        rmdirSync(disk)
      },
    }
  },
}
