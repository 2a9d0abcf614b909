/** When a cron expression comes due, in the time zone that it is read in. */
import { Cron } from 'croner'
import type { FieldError } from '../contract/errors.ts'

/** `*` and `*` with a step as the list of what they mean, e.g. `0,30`; all else as it is. */
const asList = (field: string): string => {
  const step = /^\*(?:\/([1-9]\d?))?$/.exec(field)
  if (!step) return field
  const by = Number(step[1] ?? 1)
  return Array.from({ length: Math.ceil(60 / by) }, (_, at) => at * by).join(',')
}

/**
 * The library tells jobs that go by the clock from those that go by intervals by their wildcards, and moves only the first when the clock
 * is changed. Who names the hour goes by the clock, whatever the minutes look like.
 */
const byTheClock = (expression: string): string => {
  const fields = expression.trim().split(/\s+/)
  const hour = fields.length - 4
  return fields.map((field, at) => (at < hour && !/[*/]/.test(fields[hour]!) ? asList(field) : field)).join(' ')
}

const open = (expression: string, timezone: string) =>
  new Cron(byTheClock(expression), {
    timezone,
    paused: true,
    mode: '5-or-6-parts',
    fixedTimeRule: 'no-wildcard',
  })

/** What is wrong with an expression or its time zone; nothing when it comes due some day. */
export const cronProblems = (expression: string, timezone: string, now: Date): FieldError[] => {
  try {
    // Names only: an offset knows of no summer.
    if (!/^[A-Za-z]/.test(timezone)) throw new Error('is no name of a time zone')
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch {
    return [{ field: 'timezone', message: 'is no IANA time zone, such as Europe/Berlin', code: 'FORMAT' }]
  }
  const problem = (message: string): FieldError[] => [{ field: 'cron_expression', message, code: 'FORMAT' }]
  if (![5, 6].includes(expression.trim().split(/\s+/).length))
    return problem('must have 5 fields, or 6 with the seconds first')
  try {
    return open(expression, timezone).nextRun(now) ? [] : problem('never comes due')
  } catch (error) {
    return problem(`can not be read: ${(error as Error).message.replace(/^CronPattern: /, '')}`)
  }
}

/**
 * A time that a clock change skips comes at the next valid minute, a doubled one once; where the hour is `*`, each hour that passes counts.
 * @returns the first time after `after`; null: it never comes again
 */
export const nextCronTime = (expression: string, timezone: string, after: Date): Date | null =>
  open(expression, timezone).nextRun(after)
