/** Runs when all functions have been called: every error that one declares has been its answer in some test. */
import { expect, it } from 'vitest'
import { loadFunctions } from '../../runtime/load.ts'
import { routeMap } from '../../wrangler-style.config.ts'
import { seenErrors } from '../support/seen-errors.ts'

it('every error that a function declares was provoked by a test', async () => {
  const { routes } = await loadFunctions(routeMap(60), new URL('../../functions/', import.meta.url), '.ts')
  const seen = seenErrors()
  const declared = routes.flatMap(({ function: name, fn }) => (fn.errors ?? []).map((code) => `${name} ${code}`))
  expect(declared.filter((error) => !seen.has(error))).toEqual([])
})
