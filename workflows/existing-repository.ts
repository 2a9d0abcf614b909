import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findRepository, type RepositoryRow } from '../db/queries/repositories.ts'

/** @throws REPOSITORY_NOT_FOUND */
export const existingRepository = async (db: Executor, id: string): Promise<RepositoryRow> => {
  const row = await findRepository(db, id)
  if (!row) throw new HubError('REPOSITORY_NOT_FOUND', 'There is no such repository', { details: id.slice(0, 100) })
  return row
}
