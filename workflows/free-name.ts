import { HubError } from '../contract/errors.ts'
import { isDuplicate } from '../db/database.ts'

/** Runs a write whose only unique key is a name. @throws NAME_TAKEN */
export const withFreeName = async <T>(name: string | undefined, write: () => Promise<T>): Promise<T> => {
  try {
    return await write()
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new HubError('NAME_TAKEN', 'This name is taken', { details: name ?? '', cause: error })
  }
}
