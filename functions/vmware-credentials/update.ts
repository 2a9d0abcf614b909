/** PUT /vmware-credentials/{id}: changes the sent fields; no or an empty password keeps the old one. */
import {
  credentialChangedAnswer,
  credentialParams,
  isNodeSource,
  updateCredentialBody,
} from '../../contract/api/credentials.ts'
import { HubError } from '../../contract/errors.ts'
import { clearOtherDefaults, toCredential, updateCredential } from '../../db/queries/credentials.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingCredential } from '../../workflows/credentials.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { sealSecret } from '../../workflows/secrets.ts'

export default defineFunction(
  {
    summary: 'Change a credential',
    needs: ['DB', 'KEYS'],
    params: credentialParams,
    body: updateCredentialBody,
    responses: { 200: credentialChangedAnswer },
    errors: ['CREDENTIAL_NOT_FOUND', 'NAME_TAKEN'],
  },
  async ({ params, body, env: { DB, KEYS } }) => {
    const before = await existingCredential(DB.orm, params.id)
    if (body.username === '' && !isNodeSource(body.vcenter_host ?? before.vcenterHost))
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [{ field: 'username', message: 'must not be empty', code: 'LENGTH' }],
      })
    const change = {
      credentialName: body.credential_name,
      vcenterHost: body.vcenter_host,
      username: body.username,
      datacenter: body.datacenter,
      isActive: body.is_active,
      isDefault: body.is_default,
      passwordEncrypted: body.password ? sealSecret(KEYS, 'credential password', body.password) : undefined,
    }
    await withFreeName(body.credential_name, () =>
      DB.transaction(async (tx) => {
        await updateCredential(tx, params.id, change)
        if (body.is_default) await clearOtherDefaults(tx, params.id)
      }),
    )
    return {
      credential: toCredential(await existingCredential(DB.orm, params.id)),
      status: 'success',
      message: 'credential changed',
    }
  },
)
