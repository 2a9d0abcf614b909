/** What schedules and policies say, in words. */
import type { Policy, Schedule } from '../api/types.ts'
import { cronInWords } from '../lib/cron.ts'

export const rhythm = ({ schedule_type, cron_expression, timezone, chain_delay_minutes }: Schedule, parent?: string) =>
  schedule_type === 'chain'
    ? `${chain_delay_minutes} minutes after ${parent ?? 'another'} has ended`
    : `${cronInWords(cron_expression) ?? cron_expression}, ${timezone}`

/** `30 days, 7 daily, 4 weekly`. */
export const keepsInWords = ({ retention_days, keep }: Pick<Policy, 'retention_days' | 'keep'>): string => {
  const parts = [
    ...(retention_days > 0 ? [`${retention_days} days`] : []),
    ...Object.entries(keep ?? {}).flatMap(([name, value]) => (value > 0 ? [`${value} ${name}`] : [])),
  ]
  return parts.length === 0 ? 'everything' : parts.join(', ')
}
