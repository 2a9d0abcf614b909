/** Mutated filesystems that a kernel parses: in a machine of their own, since it may die of them. */
import { expect, it } from 'vitest'
import { runLane } from '../faults/campaign.ts'
import { hostileFilesystems } from '../faults/lanes/hostile-images.ts'

it('cost their own mount and nothing else', async () => {
  const counts = await runLane(hostileFilesystems, { seed: 20261121, first: 0, trials: 30 })
  expect(counts.violations).toEqual([])
  expect(counts.fired).toBe(30)
})
