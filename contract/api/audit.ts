/** The audit log; an extension of the contract. */
import { z } from 'zod'
import { listCounts, pagingQuery, queryInt, str, time, timeIn } from './common.ts'

export const auditQuery = z.object({
  ...pagingQuery(),
  actor: str(1).optional(),
  action: str(1, 64).optional(),
  status: queryInt(100, 599).optional(),
  since: timeIn.optional(),
  until: timeIn.optional(),
  /** `ndjson`: all that match, one JSON object a line, newest first; paging is for `json` alone. */
  format: z.enum(['json', 'ndjson']).default('json'),
})
const auditEntry = z.object({
  id: z.int(),
  timestamp: time,
  actor_kind: z.enum(['user', 'api_token', 'job', 'download', 'system', 'anonymous']),
  actor: z.string().nullable(),
  actor_id: z.string().nullable(),
  action: z.string(),
  method: z.string(),
  path: z.string(),
  status_code: z.int(),
  code: z.string().nullable(),
  details: z.record(z.string(), z.unknown()).nullable(),
  remote_addr: z.string().nullable(),
  request_id: z.string().nullable(),
})
export const auditAnswer = z.object({ entries: z.array(auditEntry), ...listCounts })
