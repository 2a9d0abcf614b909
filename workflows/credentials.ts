/** What several credential functions share. */
import { HubError } from '../contract/errors.ts'
import { type Executor, isDuplicate } from '../db/database.ts'
import { type CredentialRow, findCredential } from '../db/queries/credentials.ts'

/** @throws CREDENTIAL_NOT_FOUND */
export const existingCredential = async (db: Executor, id: number): Promise<CredentialRow> => {
  const row = await findCredential(db, id)
  if (!row) throw new HubError('CREDENTIAL_NOT_FOUND', 'There is no such credential', { details: `id ${id}` })
  return row
}

/** Runs a write whose only unique key is a name. @throws NAME_TAKEN */
export const withFreeName = async <T>(name: string | undefined, write: () => Promise<T>): Promise<T> => {
  try {
    return await write()
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new HubError('NAME_TAKEN', 'This name is taken', { details: name ?? '', cause: error })
  }
}
