/** POST /vmware-credentials/{id}/test: logs in to the source through the node. */
import { credentialParams, testCredentialAnswer } from '../../contract/api/credentials.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingCredential } from '../../workflows/credentials.ts'
import { openSecret } from '../../workflows/secrets.ts'

/** No VM is called so: a login is tried, and next to nothing listed. */
const matchesNothing = '\u0001'

export default defineFunction(
  {
    summary: 'Test a credential',
    needs: ['DB', 'NODE', 'KEYS'],
    params: credentialParams,
    responses: { 200: testCredentialAnswer },
    errors: ['CREDENTIAL_NOT_FOUND', 'NODE_UNREACHABLE'],
  },
  async ({ params, env: { DB, NODE, KEYS } }) => {
    const row = await existingCredential(DB.orm, params.id)
    try {
      await NODE.discover({
        vcenter: row.vcenterHost,
        username: row.username,
        password: openSecret(KEYS, 'credential password', row.passwordEncrypted),
        datacenter: row.datacenter,
        filter: matchesNothing,
      })
      return { success: true, status: 'success', message: `${row.vcenterHost} accepted the login`, error: null }
    } catch (error) {
      if (!(error instanceof HubError) || (error.code !== 'DISCOVERY_FAILED' && error.code !== 'NODE_ERROR'))
        throw error
      return {
        success: false,
        status: 'failed',
        message: `${row.vcenterHost} did not accept the login`,
        error: error.details || error.message,
      }
    }
  },
)
