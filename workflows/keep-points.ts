/** Which restore points a policy's counts keep: the newest of each period, for as many periods as it says. Known from restic and others. */
import type { Keep } from '../contract/api/policies.ts'

type Point = { id: string; at: Date }
type Period = Exclude<keyof Keep, 'last'>

const weekMs = 7 * 24 * 3600 * 1000
/** ISO 8601: a week belongs to the year that its Thursday lies in. */
const isoWeek = (at: Date): string => {
  const thursday = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()))
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7))
  const year = thursday.getUTCFullYear()
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / weekMs)
  return `${year}-W${String(week).padStart(2, '0')}`
}

/** Names of periods, in UTC. */
const periodOf: Record<Period, (at: Date) => string> = {
  hourly: (at) => `${at.toISOString().slice(0, 13)}:00Z`,
  daily: (at) => at.toISOString().slice(0, 10),
  weekly: isoWeek,
  monthly: (at) => at.toISOString().slice(0, 7),
  yearly: (at) => at.toISOString().slice(0, 4),
}

/** @param points in any order @returns why each point is kept, by its id; one that is in it not at all is kept by none */
export const keptPoints = (points: readonly Point[], keep: Keep): Map<string, string[]> => {
  const newestFirst = [...points].sort((a, b) => b.at.getTime() - a.at.getTime() || b.id.localeCompare(a.id))
  const reasons = new Map<string, string[]>()
  const note = (id: string, reason: string) => reasons.set(id, [...(reasons.get(id) ?? []), reason])
  for (const [at, { id }] of newestFirst.slice(0, keep.last).entries()) note(id, `last ${at + 1} of ${keep.last}`)
  for (const period of Object.keys(periodOf) as Period[]) {
    const seen = new Set<string>()
    for (const { id, at } of newestFirst) {
      const name = periodOf[period](at)
      if (seen.has(name)) continue
      if (seen.size === keep[period]) break
      seen.add(name)
      note(id, `${period} ${name}`)
    }
  }
  return reasons
}
