/** Cron expressions in words. */
import cronstrue from 'cronstrue'

/** @returns undefined for what is none */
export const cronInWords = (expression: string): string | undefined => {
  try {
    return cronstrue.toString(expression, { use24HourTimeFormat: true, verbose: false })
  } catch {
    return undefined
  }
}
