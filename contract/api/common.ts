/** Shapes that every system uses (contract sections 1.2 to 1.5). */
import { z } from 'zod'

export const maxBytes = Number.MAX_SAFE_INTEGER

/** An answer's time: RFC 3339 in UTC with Z. */
export const time = z.iso.datetime()
/** A request's time may carry any offset. */
export const timeIn = z.iso.datetime({ offset: true })
export const str = (min = 0, max = 255) => z.string().min(min).max(max)
export const name = str(1)
export const id = str(1)
export const bytes = z.int().min(0).max(maxBytes)

/** Query values are text: booleans are `true|false|1|0`, integers are decimal. */
export const queryBool = z
  .string()
  .refine((text) => /^(true|false|1|0)$/.test(text), { error: 'must be true, false, 1 or 0', params: { code: 'TYPE' } })
  .transform((text) => text === 'true' || text === '1')
export const queryInt = (min: number, max: number) =>
  z
    .string()
    .refine((text) => /^-?\d{1,16}$/.test(text), {
      error: 'must be a decimal integer',
      params: { code: 'TYPE' },
      abort: true,
    })
    .transform(Number)
    .pipe(z.int().min(min).max(max))

/** `limit` and `offset` of section 1.5. */
export const pagingQuery = (limitMax = 1000) => ({
  limit: queryInt(1, limitMax).optional(),
  offset: queryInt(0, maxBytes).optional(),
})
export type Paging = { limit?: number | undefined; offset?: number | undefined }

export const listCounts = { count: z.int(), total_count: z.int(), total: z.int() }
/** The list counts of section 1.5. */
export const counts = (rows: readonly unknown[], totalCount: number) => ({
  count: rows.length,
  total_count: totalCount,
  total: totalCount,
})
/** One page of rows that are all in memory, with the counts. */
export const page = <T>(rows: readonly T[], { limit, offset = 0 }: Paging) => {
  const shown = rows.slice(offset, limit === undefined ? undefined : offset + limit)
  return { shown, ...counts(shown, rows.length) }
}

export const errorAnswer = z.object({
  success: z.literal(false),
  error: z.string(),
  details: z.string(),
  code: z.string(),
  timestamp: time,
  request_id: z.string(),
  fields: z.array(z.object({ field: z.string(), message: z.string(), code: z.string() })),
})

/** A duration in nanoseconds and its twin in milliseconds, under the name the contract gives it. */
export const duration = <N extends string>(field: N, milliseconds: number) =>
  ({ [field]: Math.round(milliseconds * 1e6), [`${field}_ms`]: Math.round(milliseconds) }) as Record<
    N | `${N}_ms`,
    number
  >
