/** Loads every function that the map names, and refuses to start when map, files and contract do not agree. */
import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { contractRoutes, notBuiltYet } from '../contract/routes.ts'
import type { Cron, Route, RouteMap } from './config.ts'
import type { CronFunction, HubFunction } from './function.ts'

export type LoadedRoute = Route & { fn: HubFunction }
export type LoadedCron = Cron & { fn: CronFunction }
export type Loaded = { routes: LoadedRoute[]; crons: LoadedCron[] }

/** `POST /backups`, as contract/routes.ts writes it. */
const contractName = (method: string, path: string, root?: boolean) => `${method} ${root ? 'root:' : ''}${path}`
const withoutNames = (route: string) => route.replace(/\{[^}]*\}/g, '{}')

/** Every path a route answers on, as the contract writes it. */
const pathsOf = (route: Route) => [
  contractName(route.method, route.path, route.root),
  ...(route.aliases ?? []).map((alias) => contractName(alias.method ?? route.method, alias.path, alias.root)),
]

const functionFiles = async (folder: URL, suffix: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((file) => file.isFile() && file.name.endsWith(suffix))
    .map((file) => relative(fileURLToPath(folder), join(file.parentPath, file.name)).slice(0, -suffix.length))

/**
 * @param folder URL of functions/, ending with a slash
 * @param suffix `.ts` for the sources, `.js` for the build
 * @throws one Error that lists every disagreement
 */
export const loadFunctions = async (map: RouteMap, folder: URL, suffix: '.ts' | '.js'): Promise<Loaded> => {
  const problems: string[] = []
  const files = new Set(await functionFiles(folder, suffix))
  const loaded: Loaded = { routes: [], crons: [] }

  const load = async (name: string, where: string): Promise<unknown> => {
    if (!files.has(name)) {
      problems.push(`${where} names functions/${name}, which does not exist`)
      return undefined
    }
    const module = (await import(new URL(`${name}${suffix}`, folder).href)) as { default?: unknown }
    return module.default
  }
  const checkBindings = (fn: { needs: readonly string[] }, granted: readonly string[], where: string) => {
    for (const need of fn.needs)
      if (!granted.includes(need)) problems.push(`${where} uses ${need}, which the map does not grant`)
    for (const grant of granted)
      if (!fn.needs.includes(grant)) problems.push(`${where} is granted ${grant}, which it does not use`)
  }

  for (const route of map.routes) {
    const where = `${route.method} ${route.path}`
    const fn = (await load(route.function, where)) as HubFunction | undefined
    if (!fn) continue
    if (fn.kind !== 'function') problems.push(`${where}: functions/${route.function} is no function`)
    else {
      checkBindings(fn, route.bindings, `functions/${route.function}`)
      loaded.routes.push({ ...route, fn })
    }
  }
  for (const cron of map.crons) {
    const fn = (await load(cron.function, `cron ${cron.pattern}`)) as CronFunction | undefined
    if (!fn) continue
    if (fn.kind !== 'cron') problems.push(`cron ${cron.pattern}: functions/${cron.function} is no cron function`)
    else {
      checkBindings(fn, cron.bindings, `functions/${cron.function}`)
      loaded.crons.push({ ...cron, fn })
    }
  }

  const routed = new Set(map.routes.map((route) => route.function))
  for (const cron of map.crons)
    for (const name of cron.after ?? [])
      if (!routed.has(name)) problems.push(`cron ${cron.pattern} runs after functions/${name}, which is in no route`)

  const mapped = new Set([...map.routes, ...map.crons].map((entry) => entry.function))
  for (const file of files)
    if (!mapped.has(file)) problems.push(`functions/${file} is in no route and no cron of the map`)

  const served = map.routes.flatMap(pathsOf)
  const known = new Set([...contractRoutes].map(withoutNames))
  const open = new Set(notBuiltYet.map(withoutNames))
  for (const path of served) {
    if (open.has(withoutNames(path))) problems.push(`${path} is served but listed as not built yet`)
    else if (!known.has(withoutNames(path))) problems.push(`${path} is not a route of the contract`)
  }
  const servedNames = new Set(served.map(withoutNames))
  for (const path of contractRoutes)
    if (!servedNames.has(withoutNames(path))) problems.push(`${path} of the contract is missing from the map`)

  if (problems.length > 0) throw new Error(`The route map is wrong:\n- ${problems.join('\n- ')}`)
  return loaded
}
