/** DELETE /vmware-credentials/{id}: removes the set; VMs that used it lose the link. */
import { credentialParams, deleteCredentialAnswer } from '../../contract/api/credentials.ts'
import { countVmsUsing, deleteCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingCredential } from '../../workflows/credentials.ts'

export default defineFunction(
  {
    summary: 'Remove a credential',
    needs: ['DB'],
    params: credentialParams,
    responses: { 200: deleteCredentialAnswer },
    errors: ['CREDENTIAL_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) =>
    DB.transaction(async (tx) => {
      const { credentialName } = await existingCredential(tx, params.id)
      const affected_vms = await countVmsUsing(tx, params.id)
      await deleteCredential(tx, params.id)
      return { status: 'success', message: `credential ${credentialName} removed`, affected_vms }
    }),
)
