/** How a command ends that did not do what it was asked to. */

/** Exit codes, for scripts. */
export const exitCode = {
  /** The hub said no. */
  refused: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Nobody is logged in, or the token is good no more. */
  unauthenticated: 3,
  /** The hub does not answer. */
  unreachable: 4,
  /** What was started has failed: a backup, a check, a run. */
  failed: 5,
} as const

export class Failure extends Error {
  readonly code: number
  constructor(code: keyof typeof exitCode, message: string) {
    super(message)
    this.code = exitCode[code]
  }
}
