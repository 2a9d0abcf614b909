/** How the room in repositories shrinks. */
import { gte, lt } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { repositoryUsage } from '../schema/index.ts'

const dayMs = 24 * 3600 * 1000
/** Growth is reckoned over this time; what is older says little of tomorrow. */
const daysKept = 30

const dayOf = (at: Date) => at.toISOString().slice(0, 10)
const oldest = (now: Date) => dayOf(new Date(now.getTime() - daysKept * dayMs))

export const noteUsage = async (db: Executor, repositoryId: string, usedBytes: number, now: Date): Promise<void> => {
  await db
    .insert(repositoryUsage)
    .values({ repositoryId, day: dayOf(now), usedBytes })
    .onDuplicateKeyUpdate({ set: { usedBytes } })
  await db.delete(repositoryUsage).where(lt(repositoryUsage.day, oldest(now)))
}

/** Bytes that a repository grows by a day, by id; those that have been measured on one day only are missing. */
export const growthPerDay = async (db: Executor, now: Date): Promise<Map<string, number>> => {
  const rows = await db
    .select()
    .from(repositoryUsage)
    .where(gte(repositoryUsage.day, oldest(now)))
    .orderBy(repositoryUsage.day)
  const spans = new Map<string, { first: (typeof rows)[number]; last: (typeof rows)[number] }>()
  for (const row of rows) spans.set(row.repositoryId, { first: spans.get(row.repositoryId)?.first ?? row, last: row })
  return new Map(
    [...spans].flatMap(([id, { first, last }]): [string, number][] => {
      const passed = (Date.parse(last.day) - Date.parse(first.day)) / dayMs
      return passed < 1 ? [] : [[id, (last.usedBytes - first.usedBytes) / passed]]
    }),
  )
}
