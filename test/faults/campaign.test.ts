/** The part of the fault campaign that every change must pass: all lanes, fewer trials, always the same ones. As many lanes at once as vitest.config.ts says. */
import { expect, it } from 'vitest'
import { lanes } from './lanes/index.ts'
import { runPart } from './parts.ts'

const seed = 20261121
/** More than 500 in all. */
const trials: Record<keyof typeof lanes, number> = {
  'A-times': 20,
  'A-calls': 30,
  'A-merge': 15,
  'A-services': 6,
  'A-service-calls': 4,
  'B-calls': 22,
  'B-full': 20,
  C: 40,
  D: 100,
  'D-hub': 2,
  E: 250,
  F: 35,
  'F-volumes': 14,
  'F-kernels': 2,
  G: 24,
  H: 3,
}

it.concurrent.each(Object.keys(lanes))('lane %s: nothing is lost, nothing is left', async (lane) => {
  const counts = await runPart({ lane, seed, first: 0, trials: trials[lane]! }, () => undefined)
  expect(counts.violations).toEqual([])
  expect(counts.fired).toBeGreaterThan(0)
  expect(counts.fired + counts.notFired).toBe(trials[lane])
})
