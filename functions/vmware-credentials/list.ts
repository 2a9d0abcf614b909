/** GET /vmware-credentials: all saved sets, the default first. */
import { z } from 'zod'
import { page, pagingQuery } from '../../contract/api/common.ts'
import { credentialsAnswer } from '../../contract/api/credentials.ts'
import { listCredentials, toCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'List credentials', needs: ['DB'], query: z.object(pagingQuery()), responses: { 200: credentialsAnswer } },
  async ({ query, env: { DB } }) => {
    const { shown, ...counted } = page((await listCredentials(DB.orm)).map(toCredential), query)
    return { credentials: shown, ...counted, status: 'success' }
  },
)
