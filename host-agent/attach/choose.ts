/** Picks the way to attach, once, when the agent starts. */
import type { AgentSettings } from '../../contract/settings.ts'
import type { AttachBackend } from './backend.ts'
import { kernelNbd, kernelNbdIsPossible } from './kernel-nbd.ts'
import { userspace, userspaceIsPossible } from './userspace.ts'

/** @throws Error that says what is missing */
export const chooseBackend = async ({ attachBackend, restoreSlots }: AgentSettings): Promise<AttachBackend> => {
  if (attachBackend !== 'userspace' && (await kernelNbdIsPossible())) return kernelNbd(restoreSlots)
  if (attachBackend !== 'kernel-nbd' && (await userspaceIsPossible())) return userspace()
  throw new Error(
    attachBackend === 'kernel-nbd'
      ? 'the kernel has no nbd module'
      : 'disks can not be attached: neither the nbd module nor /dev/fuse, /dev/loop-control and qemu-storage-daemon are there',
  )
}
