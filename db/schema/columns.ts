/** Columns that many tables share. Times are TIMESTAMP(3) in UTC; text without a length in the contract is VARCHAR(255). */
import { sql } from 'drizzle-orm'
import { bigint, boolean, int, timestamp, varchar } from 'drizzle-orm/mysql-core'

const now = sql`CURRENT_TIMESTAMP(3)`

export const time = () => timestamp({ mode: 'date', fsp: 3 })
export const createdAt = () => time().notNull().default(now)
export const updatedAt = () =>
  time()
    .notNull()
    .default(now)
    .$onUpdate(() => new Date())
export const text255 = () => varchar({ length: 255 })
export const id64 = () => varchar({ length: 64 })
/** Bytes and other counts beyond 2^31; exact up to 2^53-1. */
export const big = () => bigint({ mode: 'number' })
export const count = () => int().notNull().default(0)
export const flag = (value: boolean) => boolean().notNull().default(value)
