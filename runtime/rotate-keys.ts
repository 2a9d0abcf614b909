/**
 * Another master key: every token ends, every stored secret is encrypted anew. A crash between two steps loses nothing: until the last
 * one the key file holds both keys, and the next start goes on.
 */
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import type { Database } from '../db/database.ts'
import { listCredentials, updateCredential } from '../db/queries/credentials.ts'
import { listRules, updateRule } from '../db/queries/notifications.ts'
import { listRepositories, updateRepository } from '../db/queries/repositories.ts'
import { writeFileDurably } from '../durable/write-file.ts'
import { type Keys, keyFileSchema, newKeyFile, openKeys } from './bindings/keys.ts'

/** `previousKey`: a rotation is under way; secrets are encrypted with it or with the new one. */
const rotatingSchema = keyFileSchema.extend({ previousKey: keyFileSchema.shape.masterKey.optional() })
type Rotating = z.infer<typeof rotatingSchema>

const writeKeys = (path: string, keys: Rotating) => writeFileDurably(path, JSON.stringify(keys))

/** @param place where the secret lies; see workflows/secrets.ts */
const reencrypt = (value: string, place: string, from: Keys, to: Keys) => {
  try {
    to.decrypt(value, place)
    return value
  } catch {
    return to.encrypt(from.decrypt(value, place), place)
  }
}

/**
 * Runs before the hub does.
 * @param isAsked whether to begin one; one that was begun is finished in any case
 * @throws INTERNAL when a stored secret belongs to neither key; nothing is changed then
 */
export const rotateKeys = async (db: Database, path: string, isAsked: boolean): Promise<void> => {
  let file = rotatingSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  if (file.previousKey === undefined) {
    if (!isAsked) return
    file = { hubId: file.hubId, masterKey: newKeyFile().masterKey, previousKey: file.masterKey }
    await writeKeys(path, file)
  }
  const { hubId, masterKey, previousKey } = file
  const [from, to] = [openKeys({ hubId, masterKey: previousKey! }), openKeys({ hubId, masterKey })]
  await db.transaction(async (tx) => {
    for (const { id, passwordEncrypted } of await listCredentials(tx))
      if (passwordEncrypted !== '')
        await updateCredential(tx, id, {
          passwordEncrypted: reencrypt(passwordEncrypted, 'credential password', from, to),
        })
    for (const { id, config } of await listRepositories(tx)) {
      const { password_encrypted: sealed } = config
      if (typeof sealed === 'string' && sealed !== '')
        await updateRepository(tx, id, {
          config: { ...config, password_encrypted: reencrypt(sealed, 'repository password', from, to) },
        })
    }
    for (const { id, secretEncrypted } of await listRules(tx))
      if (secretEncrypted !== '')
        await updateRule(tx, id, { secretEncrypted: reencrypt(secretEncrypted, 'notification secret', from, to) })
  })
  await writeKeys(path, { hubId, masterKey })
}
