/** Tells errors that say something of a file from those that only say that this machine is in trouble. */
import { HubError } from '../contract/errors.ts'

/** System errors that a damaged or lost file gives; -117 is EUCLEAN, of a damaged filesystem. */
const ofTheFile = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EIO', 'EBADMSG', 'Unknown system error -117'])
/** System errors, those that Node has no name for (EDQUOT, say) among them, and threads that could not be started. */
const ofTheSystem = /^(E[A-Z0-9]+|Unknown system error .*|ERR_WORKER_.*)$/

/** Whether a file may be whole although reading it ended with this error: no memory, no descriptor, no thread, no right. */
export const isTrouble = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException
  return !(error instanceof HubError) && ofTheSystem.test(code ?? '') && !ofTheFile.has(code!)
}
