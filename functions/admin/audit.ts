/** GET /admin/audit: who did what and how it ended, newest first; as pages, or all of it as NDJSON. */
import { Readable } from 'node:stream'
import { auditAnswer, auditQuery } from '../../contract/api/audit.ts'
import { counts } from '../../contract/api/common.ts'
import { countAudit, listAudit, toAuditEntry } from '../../db/queries/audit.ts'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'

const pageDefault = 100
/** Rows that an export holds in memory at a time. */
const exportStep = 1000

export default defineFunction(
  { summary: 'Read the audit log', needs: ['DB'], query: auditQuery, responses: { 200: auditAnswer } },
  async ({ query, env: { DB } }) => {
    const { actor, action, status } = query
    const filter = {
      actor,
      action,
      status,
      since: query.since === undefined ? undefined : new Date(query.since),
      until: query.until === undefined ? undefined : new Date(query.until),
    }
    if (query.format === 'ndjson') {
      const lines = async function* () {
        let before: number | undefined
        for (;;) {
          const rows = await listAudit(DB.orm, filter, {
            limit: exportStep,
            ...(before === undefined ? {} : { before }),
          })
          if (rows.length === 0) return
          yield Buffer.from(rows.map((row) => `${JSON.stringify(toAuditEntry(row))}\n`).join(''))
          before = rows.at(-1)!.id
        }
      }
      const headers = {
        'Content-Type': 'application/x-ndjson',
        'Content-Disposition': 'attachment; filename="sendense-audit.ndjson"',
        'Cache-Control': 'no-store',
      }
      return streamAnswer(200, headers, Readable.from(lines(), { objectMode: false }))
    }
    const [rows, total] = await Promise.all([
      listAudit(DB.orm, filter, { limit: query.limit ?? pageDefault, offset: query.offset ?? 0 }),
      countAudit(DB.orm, filter),
    ])
    return { entries: rows.map(toAuditEntry), ...counts(rows, total) }
  },
)
