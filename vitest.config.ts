import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** How much slower than a real machine an emulated one may be. */
const patience = Number(process.env.SENDENSE_TEST_PATIENCE ?? 1)

const project = (name: string, include: string[], more: object = {}) => ({ test: { name, include, ...more } })

export default defineConfig({
  test: {
    // Vitest's own choice leaves one of two processors idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      project('unit', ['test/contract/**/*.test.ts', 'test/workflows/pure/**/*.test.ts']),
      project('functions', ['test/functions/**/*.test.ts', 'test/db/**/*.test.ts', 'test/workflows/*.test.ts'], {
        globalSetup: ['test/support/global-setup.ts'],
        testTimeout: 120_000,
        hookTimeout: 60_000,
      }),
      // Looks at what the functions' tests have seen.
      project('after', ['test/after/**/*.test.ts'], { sequence: { groupOrder: 1 } }),
      // Real devices and processes: one file at a time, so that the census of one is not disturbed by another.
      project('host-agent', ['test/host-agent/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 120_000 * patience,
        hookTimeout: 120_000 * patience,
      }),
      // Guests' disks of every kind.
      project('volumes', ['test/volumes/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 60_000 * patience,
        hookTimeout: 60_000 * patience,
      }),
      // Where a kernel may die of it: `npm run test:lab`.
      project('lab', ['test/lab/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 1_800_000,
        hookTimeout: 600_000,
      }),
      project('faults', ['test/faults/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 600_000,
        // Neither beside the census of others nor beside their load.
        sequence: { groupOrder: 2 },
        // Each lane in namespaces of its own.
        maxConcurrency: 2,
      }),
      // Debian's Chromium before the console of a hub with everything real.
      project('browser', ['test/browser/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 240_000,
        hookTimeout: 180_000,
      }),
      project('e2e', ['test/e2e/**/*.test.ts'], { fileParallelism: false, testTimeout: 240_000, hookTimeout: 120_000 }),
    ],
  },
})
