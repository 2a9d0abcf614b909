/** The start refuses a map, files and a contract that do not agree, and settings that can not be. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { contractRoutes } from '../../contract/routes.ts'
import type { RouteMap } from '../../runtime/config.ts'
import { loadFunctions } from '../../runtime/load.ts'
import { readSettings, routeMap } from '../../wrangler-style.config.ts'

const folder = mkdtempSync(join(tmpdir(), 'sendense-functions-'))
afterAll(() => rmSync(folder, { recursive: true }))
const definition = (needs: string[]) =>
  `export default { kind: 'function', summary: 's', needs: ${JSON.stringify(needs)}, responses: {}, handler: async () => ({}) }\n`
const problems = (map: RouteMap) =>
  loadFunctions(map, pathToFileURL(`${folder}/`), '.ts').then(
    () => '',
    (error: Error) => error.message,
  )
const limits = { bodyMaxBytes: 1, bodyMaxDepth: 1, requestsMax: 10, stalledClientMs: 1 }

it('names every disagreement at once', async () => {
  writeFileSync(join(folder, 'greedy.ts'), definition(['DB', 'AGENT']))
  writeFileSync(join(folder, 'orphan.ts'), definition([]))
  const message = await problems({
    routes: [
      { method: 'GET', path: '/vms', function: 'greedy', role: 'viewer', bindings: ['DB', 'CLOCK'] },
      { method: 'GET', path: '/backups', function: 'ghost', role: 'viewer', bindings: [] },
      { method: 'GET', path: '/invented', function: 'greedy', role: 'viewer', bindings: ['DB', 'AGENT'] },
      { method: 'GET', path: '/replications', function: 'greedy', role: 'viewer', bindings: ['DB', 'AGENT'] },
    ],
    crons: [{ pattern: '* * * * *', function: 'ghost', bindings: [], after: ['nobody'] }],
    limits,
  })
  expect(message).toContain('cron * * * * * runs after functions/nobody, which is in no route')
  expect(message).toContain('functions/greedy uses AGENT, which the map does not grant')
  expect(message).toContain('functions/greedy is granted CLOCK, which it does not use')
  expect(message).toContain('GET /backups names functions/ghost, which does not exist')
  expect(message).toContain('functions/orphan is in no route and no cron of the map')
  expect(message).toContain('GET /invented is not a route of the contract')
  expect(message).toContain('GET /replications is served but listed as not built yet')
  expect(message).toContain('POST /auth/login of the contract is missing from the map')
})
it('agrees with the map as it is', async () => {
  const { routes } = await loadFunctions(routeMap(60), new URL('../../functions/', import.meta.url), '.ts')
  expect(routes.flatMap((route) => [route, ...(route.aliases ?? [])])).toHaveLength(contractRoutes.length)
}, 30_000)
it('reads settings with their defaults', () => {
  expect(readSettings({})).toMatchObject({
    port: 8082,
    host: '127.0.0.1',
    nodeUrl: 'http://127.0.0.1:9081',
    localNode: { host: '127.0.0.1', port: 9081 },
    nbdPorts: { first: 10100, last: 10200 },
    restoreSlots: 8,
    mountIdleSeconds: 3600,
    stallSeconds: 60,
    stallFailSeconds: 300,
    restoreRoot: '/mnt/sendense/restore',
    hubUrl: 'http://127.0.0.1:8082',
  })
  expect(readSettings({ SENDENSE_NODE_URL: 'http://127.0.0.1:1234' }).localNode).toBeUndefined()
})
it('names every wrong setting in one message', () => {
  expect(() =>
    readSettings({
      SENDENSE_PORT: 'x',
      SENDENSE_NBD_PORTS: '10200-10100',
      DATABASE_URL: 'postgres://x',
      SENDENSE_RESTORE_ROOT: 'relative',
    }),
  ).toThrow(/SENDENSE_PORT[\s\S]*DATABASE_URL[\s\S]*SENDENSE_RESTORE_ROOT[\s\S]*SENDENSE_NBD_PORTS/)
  expect(() => readSettings({ SENDENSE_STALL_SECONDS: '10', SENDENSE_STALL_FAIL_SECONDS: '5' })).toThrow(
    'SENDENSE_STALL_FAIL_SECONDS',
  )
})
