/** Picks the way to attach, once, when the agent starts. */
import type { AgentSettings } from '../../contract/settings.ts'
import type { AttachBackend } from './backend.ts'
import { kernelNbd, kernelNbdIsPossible } from './kernel-nbd.ts'
import { userspace, userspaceIsPossible } from './userspace.ts'

/**
 * @param isEnclosed whether this host can make a place for QEMU where it is nobody
 * @throws Error that says what is missing
 */
export const chooseBackend = async (
  { attachBackend, restoreSlots }: AgentSettings,
  isEnclosed: boolean,
): Promise<AttachBackend> => {
  if (attachBackend !== 'userspace' && (await kernelNbdIsPossible())) return kernelNbd(restoreSlots, isEnclosed)
  if (attachBackend !== 'kernel-nbd' && (await userspaceIsPossible())) return userspace(isEnclosed)
  throw new Error(
    attachBackend === 'kernel-nbd'
      ? 'the kernel has no nbd module, or nbd-client is not there'
      : 'disks can not be attached: neither the nbd module nor /dev/fuse, /dev/loop-control and qemu-storage-daemon are there',
  )
}
