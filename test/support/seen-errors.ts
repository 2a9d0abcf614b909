/** Which errors the tests have seen each function answer with; a last test compares them with what the functions declare. */
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../../node_modules/.cache/sendense-seen-errors', import.meta.url))

export const forgetSeenErrors = () => {
  mkdirSync(dirname(file), { recursive: true })
  rmSync(file, { force: true })
}
export const rememberError = (functionName: string, code: string) => appendFileSync(file, `${functionName} ${code}\n`)
/** As `<function> <code>`. */
export const seenErrors = (): Set<string> => new Set(readFileSync(file, 'utf8').trim().split('\n'))
