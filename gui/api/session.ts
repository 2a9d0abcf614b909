/** Whether somebody is logged in, and who; told to whoever asks. The login itself is in a cookie that no script sees. */
import { useSyncExternalStore } from 'react'
import type { z } from 'zod'
import type { meAnswer, Role } from '../../contract/api/auth.ts'

type Me = z.infer<typeof meAnswer>
/** `ended`: a page is open, and its login is good no more; what is on it stays. */
export type SessionState =
  | { status: 'unknown' | 'none' }
  | { status: 'active' | 'ended'; user: Me['user']; expiresAt: number | null }

let state: SessionState = { status: 'unknown' }
const listeners = new Set<() => void>()
let waiting: (() => void)[] = []

const change = (next: SessionState) => {
  state = next
  for (const tell of listeners) tell()
}

export const session = {
  get: () => state,
  begin: (user: Me['user'], expiresAt: string | null) => {
    change({ status: 'active', user, expiresAt: expiresAt === null ? null : Date.parse(expiresAt) })
    for (const go of waiting) go()
    waiting = []
  },
  leave: () => {
    waiting = []
    change({ status: 'none' })
  },
  untilLoggedInAgain: (): Promise<void> => {
    if (state.status === 'active') change({ ...state, status: 'ended' })
    return new Promise((resolve) => {
      waiting.push(resolve)
    })
  },
}

const subscribe = (tell: () => void) => {
  listeners.add(tell)
  return () => void listeners.delete(tell)
}
export const useSession = () => useSyncExternalStore(subscribe, session.get)

const order: Role[] = ['viewer', 'operator', 'admin']
/** Whether who is logged in may do what needs this role; what may not is not offered. */
export const useMay = (role: Role): boolean => {
  const now = useSession()
  return 'user' in now && order.indexOf(now.user.role) >= order.indexOf(role)
}
