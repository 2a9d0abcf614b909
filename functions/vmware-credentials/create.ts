/** POST /vmware-credentials: stores a set; the password is encrypted before it reaches the database. */
import { createCredentialBody, credentialChangedAnswer } from '../../contract/api/credentials.ts'
import { clearOtherDefaults, findCredential, insertCredential, toCredential } from '../../db/queries/credentials.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { sealSecret } from '../../workflows/secrets.ts'

export default defineFunction(
  {
    summary: 'Store a credential',
    needs: ['DB', 'KEYS'],
    body: createCredentialBody,
    responses: { 201: credentialChangedAnswer },
    errors: ['NAME_TAKEN'],
  },
  async ({ body, env: { DB, KEYS }, caller }) => {
    const created = await withFreeName(body.credential_name, () =>
      DB.transaction(async (tx) => {
        const id = await insertCredential(tx, {
          credentialName: body.credential_name,
          vcenterHost: body.vcenter_host,
          username: body.username,
          passwordEncrypted: sealSecret(KEYS, 'credential password', body.password),
          datacenter: body.datacenter,
          isActive: body.is_active,
          isDefault: body.is_default,
          createdBy: caller.kind === 'user' ? caller.username : null,
        })
        if (body.is_default) await clearOtherDefaults(tx, id)
        return (await findCredential(tx, id))!
      }),
    )
    return answer(201, { credential: toCredential(created), status: 'success', message: 'credential stored' })
  },
)
