/** What the doctor finds, as lines beside a violation. */
import { join } from 'node:path'
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
/** Of an agent without a hub: its ledger and this machine. */
export const hostFindings = async (real: RealAgent) => inWords(await checkHost(hostOf(real)))
