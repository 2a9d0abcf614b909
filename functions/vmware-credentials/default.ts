/** GET /vmware-credentials/default: the default set. */
import { defaultCredentialAnswer } from '../../contract/api/credentials.ts'
import { HubError } from '../../contract/errors.ts'
import { findDefaultCredential, toCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'The default credential',
    needs: ['DB'],
    responses: { 200: defaultCredentialAnswer },
    errors: ['NO_DEFAULT_CREDENTIAL'],
  },
  async ({ env: { DB } }) => {
    const row = await findDefaultCredential(DB.orm)
    if (!row)
      throw new HubError('NO_DEFAULT_CREDENTIAL', 'No credential is the default', {
        details: 'set one with set-default',
      })
    return { credentials: toCredential(row), status: 'success' }
  },
)
