/** The product's version and where it lies. */
import { existsSync, readFileSync } from 'node:fs'

const findRoot = (): URL => {
  for (let at = new URL('../', import.meta.url); at.pathname !== '/'; at = new URL('../', at))
    if (existsSync(new URL('package.json', at))) return at
  throw new Error('package.json is missing')
}
/** The folder of package.json, with a slash at its end. */
export const projectRoot = findRoot()
export const version = (JSON.parse(readFileSync(new URL('package.json', projectRoot), 'utf8')) as { version: string })
  .version
