/** All lanes, by the names that `--lane` takes. */
import type { Lane } from '../lane.ts'
import { blockLayer } from './block-layer.ts'
import { damage } from './damage.ts'
import { fullDisk } from './full-disk.ts'
import { hostileImages, hostileKernels, hostileVolumes } from './hostile-images.ts'
import { killAgent } from './kill-agent.ts'
import { killServices, killServicesAtCalls } from './kill-services.ts'
import { powerCut } from './power-cut.ts'
import { powerCutOfHub } from './power-cut-hub.ts'
import { races } from './races.ts'
import { stoppedProcesses } from './stopped-processes.ts'
import { failingCalls, killAtCalls, killMergeAtCalls } from './system-calls.ts'

export const lanes: Record<string, Lane> = {
  'A-times': killAgent,
  'A-calls': killAtCalls,
  'A-merge': killMergeAtCalls,
  'A-services': killServices,
  'A-service-calls': killServicesAtCalls,
  'B-calls': failingCalls,
  'B-full': fullDisk,
  C: blockLayer,
  D: powerCut,
  'D-hub': powerCutOfHub,
  E: damage,
  F: hostileImages,
  'F-volumes': hostileVolumes,
  'F-kernels': hostileKernels,
  G: races,
  H: stoppedProcesses,
}
