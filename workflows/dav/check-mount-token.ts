/** A mount's token is good for that mount alone; other callers need a role, which the map has checked. */
import { HubError } from '../../contract/errors.ts'
import type { Caller } from '../../runtime/function.ts'

/** @throws TOKEN_SCOPE */
export const checkMountToken = (caller: Caller, mountId: string): void => {
  if (caller.kind === 'mount' && caller.mountId !== mountId)
    throw new HubError('TOKEN_SCOPE', 'This token is good for another mount')
}
