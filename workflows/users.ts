/** What several functions about users share. */
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findUserById, type UserRow } from '../db/queries/users.ts'
import type { Caller } from '../runtime/function.ts'

type CallingUser = Extract<Caller, { kind: 'user' }>

/** @throws USER_NOT_FOUND */
export const existingUser = async (db: Executor, id: string): Promise<UserRow> => {
  const row = await findUserById(db, id)
  if (!row) throw new HubError('USER_NOT_FOUND', 'There is no such user')
  return row
}

/** @throws TOKEN_SCOPE for a job */
export const callingUser = (caller: Caller): CallingUser => {
  if (caller.kind !== 'user') throw new HubError('TOKEN_SCOPE', 'This is for users')
  return caller
}
/** A user who gave a password to get here. @throws TOKEN_SCOPE for an API token: one that leaks must not outlive its revocation */
export const loggedInUser = (caller: Caller): CallingUser => {
  const user = callingUser(caller)
  if (user.apiTokenId !== null)
    throw new HubError('TOKEN_SCOPE', 'Log in to do this', { details: 'not with an API token' })
  return user
}
