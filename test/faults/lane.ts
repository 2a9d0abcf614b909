/** What a lane of the fault campaign is: one kind of fault, tried again and again with seeded numbers. */
import type { Random } from '../support/damage.ts'

export type Outcome = {
  /** A fault that never struck proves nothing and is counted apart. */
  fired: boolean
  /** What was done, to be read beside a violation. */
  what: string
  /** What did not hold; empty when all did. */
  violations: string[]
}
export type OpenLane = { trial: (random: Random) => Promise<Outcome>; close: () => Promise<void> }
export type Lane = {
  title: string
  /** Gets what the lane needs from elsewhere: where a part of it runs there is no network. */
  fetch?: () => unknown
  open: () => Promise<OpenLane>
}
