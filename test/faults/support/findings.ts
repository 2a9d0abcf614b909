/** What the doctor finds, as lines beside a violation. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkHost, type Host } from '../../../doctor/check-host.ts'
import type { Finding } from '../../../doctor/finding.ts'
import type { RealAgent } from '../../support/real-agent.ts'

export const hostOf = ({ folder, restoreRoot, firstPort }: RealAgent): Host => ({
  stateDir: join(folder, 'state'),
  restoreRoot,
  nbdPorts: { first: firstPort, last: firstPort + 39 },
})
export const inWords = (findings: readonly Finding[]) =>
  findings.map(({ invariant, subject, problem }) => `${invariant} ${subject}: ${problem}`)
/** What the agent tries again while the machine is in trouble must be done this long after it. */
const retriedWithinMs = 12_000
/** Of an agent without a hub: its ledger and this machine. */
export const hostFindings = async (real: RealAgent): Promise<string[]> => {
  for (const until = performance.now() + retriedWithinMs; ; await sleep(100)) {
    const findings = inWords(await checkHost(hostOf(real)))
    if (findings.length === 0 || performance.now() > until) return findings
  }
}
