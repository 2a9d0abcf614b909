/** What is not as it must be. */
export type Finding = {
  /** The invariant that is broken; docs/invariants.md says them all. */
  invariant: string
  /** What it is about: an id, a path, a pid. */
  subject: string
  problem: string
}
