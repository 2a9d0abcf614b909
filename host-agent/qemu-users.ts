/** Who QEMU runs as: users that own nothing but what they are given, another for each process. */
import type { UserIds } from '../contract/settings.ts'

let first: UserIds | undefined
/** @param users the first of the range that the agent's QEMU may be */
export const setQemuUsers = (users: UserIds): void => {
  first = users
}

const nth = (at: number): UserIds => {
  if (!first) throw new Error('it is not said yet who QEMU runs as')
  return { uid: first.uid + at, gid: first.gid + at }
}

/** Serves an NBD port. */
export const userOfPort = (port: number): UserIds => nth(port)

/** Below them are no ports that an admin gives to exports, so their users are free for what has no port. */
const privilegedPorts = 1024
let taken = 0
/** For a process that serves no port. */
export const nextUser = (): UserIds => nth(1 + (taken++ % (privilegedPorts - 1)))
