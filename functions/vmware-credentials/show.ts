/** GET /vmware-credentials/{id}: one set. */
import { credential, credentialParams } from '../../contract/api/credentials.ts'
import { toCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingCredential } from '../../workflows/credentials.ts'

export default defineFunction(
  {
    summary: 'One credential',
    needs: ['DB'],
    params: credentialParams,
    responses: { 200: credential },
    errors: ['CREDENTIAL_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => toCredential(await existingCredential(DB.orm, params.id)),
)
