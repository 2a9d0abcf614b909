/** Gives root up. What only root may read has been read by then. */

/** The system user that the hub and the private database run as; made by the launcher. */
export const hubUser = 'sendense'
/** Owns the range of user ids that qemu-nbd runs as while backup clients talk to it. */
export const exportUsersOwner = 'sendense-nbd'
/** Owns the range of user ids that the processes have which read a guest's disk. */
export const readerUsersOwner = 'sendense-reader'

/** Does nothing when the process is not root. After it there is no way back. */
export const dropPrivileges = async (): Promise<void> => {
  if (process.getuid?.() !== 0) return
  process.umask(0o077)
  ;(process as unknown as { initgroups: (user: string, group: string) => void }).initgroups(hubUser, hubUser)
  process.setgid!(hubUser)
  process.setuid!(hubUser)
}
