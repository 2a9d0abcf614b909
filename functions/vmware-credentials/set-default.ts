/** PUT /vmware-credentials/{id}/set-default: makes it the only default. */
import { credentialChangedAnswer, credentialParams } from '../../contract/api/credentials.ts'
import { HubError } from '../../contract/errors.ts'
import { clearOtherDefaults, toCredential, updateCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingCredential } from '../../workflows/credentials.ts'

export default defineFunction(
  {
    summary: 'Make a credential the default',
    needs: ['DB'],
    params: credentialParams,
    responses: { 200: credentialChangedAnswer },
    errors: ['CREDENTIAL_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    await DB.transaction(async (tx) => {
      const { isActive } = await existingCredential(tx, params.id)
      if (!isActive)
        throw new HubError('VALIDATION_FAILED', 'An inactive credential can not be the default', {
          fields: [{ field: 'id', message: 'is inactive', code: 'FORBIDDEN' }],
        })
      await clearOtherDefaults(tx, params.id)
      await updateCredential(tx, params.id, { isDefault: true })
    })
    return {
      status: 'success',
      message: 'default credential set',
      credential: toCredential(await existingCredential(DB.orm, params.id)),
    }
  },
)
