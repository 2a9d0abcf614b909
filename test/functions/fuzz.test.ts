/** Nothing that a client can send makes the hub fail: every route, random bodies and queries, no 5xx. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { loadFunctions } from '../../runtime/load.ts'
import { registrations } from '../../runtime/router.ts'
import { routeMap } from '../../wrangler-style.config.ts'
import { type Alone, completedBackup, openAlone, readyVm, textOf } from '../support/alone.ts'

let alone: Alone
let known: string[]
beforeAll(async () => {
  alone = await openAlone()
  const vm = await readyVm(alone)
  const { backup_id } = await completedBackup(alone, vm)
  known = [
    vm.vmName,
    vm.contextId,
    vm.repositoryId,
    backup_id,
    '1',
    '0',
    '0b5e7a52-6a1c-4c3c-9d1e-0c5b7d0e7b11',
    '/etc',
    'full',
    'backup',
  ]
})
afterAll(() => alone.close())

const { routes } = await loadFunctions(routeMap(60), new URL('../../functions/', import.meta.url), '.ts')
const hostile = fc.oneof(
  fc.constantFrom(
    '',
    '.',
    '..',
    '/',
    '../../etc/passwd',
    '-rf',
    "' OR 1=1 --",
    '%00',
    '\u0000',
    '\ud800',
    '💾'.repeat(64),
    'x'.repeat(5000),
    '1e999',
    '-1',
    '1.5',
    'true',
    'null',
    '9007199254740993',
  ),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
)
const fieldsOf = (schema: unknown): string[] => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : [])
const some = () =>
  fc.oneof(
    hostile,
    fc.nat(known?.length ?? 0).map((at) => known?.[at] ?? ''),
  )
const value = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0).chain(some) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.oneof(fc.double(), fc.integer(), fc.boolean(), fc.constant(null), fc.constant([])) },
)

it.each(registrations(routes).map(({ method, path, route }) => ({ method, path, route })))(
  '$method $path never fails',
  async ({ method, path, route }) => {
    const names = [...fieldsOf(route.fn.body), ...fieldsOf(route.fn.query), 'limit', 'offset', 'disk_id', '__proto__']
    const object = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 8 })
    await fc.assert(
      fc.asyncProperty(
        object,
        fc.dictionary(fc.constantFrom(...names), fc.constant(0).chain(some), { maxKeys: 4 }),
        fc.array(fc.constant(0).chain(some), { minLength: 2, maxLength: 2 }),
        async (body, query, segments) => {
          let at = 0
          const filled = path
            .replace(/\{[^}]*\}/g, () => encodeURIComponent(segments[at++ % 2]!.toWellFormed()) || '-')
            .replace('*', 'index.html')
          const search = new URLSearchParams(
            Object.entries(query).map(([name, text]): [string, string] => [name, text.toWellFormed()]),
          )
          const response = await alone.app.request(`${filled}?${search}`, {
            method,
            headers: {
              Authorization: `Bearer ${alone.tokens.admin}`,
              ...(method === 'GET' ? {} : { 'Content-Type': 'application/json' }),
            },
            ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
          })
          const text = await textOf(response)
          expect(response.status, `${method} ${filled}?${search} ${JSON.stringify(body)} → ${text}`).toBeLessThan(500)
        },
      ),
      { numRuns: 25 },
    )
  },
)
