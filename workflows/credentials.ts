/** What several credential functions share. */
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { type CredentialRow, findCredential } from '../db/queries/credentials.ts'

/** @throws CREDENTIAL_NOT_FOUND */
export const existingCredential = async (db: Executor, id: number): Promise<CredentialRow> => {
  const row = await findCredential(db, id)
  if (!row) throw new HubError('CREDENTIAL_NOT_FOUND', 'There is no such credential', { details: `id ${id}` })
  return row
}
