/** What several functions about schedules share. */
import { type FieldError, HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findSchedule, type ScheduleRow } from '../db/queries/schedules.ts'
import { cronProblems } from './cron-times.ts'

/** @throws SCHEDULE_NOT_FOUND */
export const existingSchedule = async (db: Executor, id: string): Promise<ScheduleRow> => {
  const row = await findSchedule(db, id)
  if (!row) throw new HubError('SCHEDULE_NOT_FOUND', 'There is no such schedule', { details: id.slice(0, 100) })
  return row
}

/** For a schedule that a body names; null names none. @throws UNKNOWN_SCHEDULE */
export const checkScheduleNamed = async (db: Executor, id: string | null | undefined): Promise<void> => {
  if (typeof id === 'string' && !(await findSchedule(db, id)))
    throw new HubError('UNKNOWN_SCHEDULE', 'There is no such schedule', { details: id.slice(0, 100) })
}

type Timing = Pick<ScheduleRow, 'cronExpression' | 'timezone' | 'scheduleType' | 'chainParentScheduleId'>

/** @param ownId null: it is a new one @throws VALIDATION_FAILED, UNKNOWN_SCHEDULE */
export const checkTiming = async (db: Executor, timing: Timing, ownId: string | null, now: Date): Promise<void> => {
  const fields: FieldError[] = cronProblems(timing.cronExpression, timing.timezone, now)
  if (timing.scheduleType === 'chain' && timing.chainParentScheduleId === null)
    fields.push({ field: 'chain_parent_schedule_id', message: 'is required for a chain', code: 'REQUIRED' })
  await checkScheduleNamed(db, timing.chainParentScheduleId)
  for (let at = timing.chainParentScheduleId; at !== null; ) {
    if (at === ownId) {
      fields.push({ field: 'chain_parent_schedule_id', message: 'makes a circle', code: 'FORBIDDEN' })
      break
    }
    at = (await findSchedule(db, at))?.chainParentScheduleId ?? null
  }
  if (fields.length > 0) throw new HubError('VALIDATION_FAILED', 'The request is not valid', { fields })
}
