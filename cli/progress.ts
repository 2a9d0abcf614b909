/** A bar on the terminal for work that takes long, and nothing where there is no terminal. */
import { setTimeout as sleep } from 'node:timers/promises'
import { SingleBar } from 'cli-progress'
import type { Json } from './client.ts'

const lookEveryMs = 500

/** What is under way: percent, and what to say beside the bar. */
export type Step = { percent: number; text: string; isOver: boolean }

/** @param isQuiet no bar, as with --json @returns the last answer of `look` */
export const watch = async (
  isQuiet: boolean,
  look: () => Promise<Json>,
  stepOf: (answer: Json) => Step,
): Promise<Json> => {
  const bar =
    isQuiet || !process.stderr.isTTY
      ? undefined
      : new SingleBar({ format: '{bar} {percentage} %  {text}', barsize: 30, hideCursor: true, stream: process.stderr })
  bar?.start(100, 0, { text: '' })
  try {
    for (;;) {
      const answer = await look()
      const { percent, text, isOver } = stepOf(answer)
      bar?.update(Math.floor(percent), { text })
      if (isOver) return answer
      await sleep(lookEveryMs)
    }
  } finally {
    bar?.stop()
  }
}
