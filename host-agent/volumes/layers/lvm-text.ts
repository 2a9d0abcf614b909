/** LVM's own text format (lvm.conf(5)): sections, numbers, strings and lists. */

export type Value = number | string | (number | string)[] | Section
export type Section = { [name: string]: Value }

/** Deeper than any metadata; a hostile text could nest without end. */
const depthMax = 16

class SyntaxProblem extends Error {
  constructor(at: number) {
    super(`LVM's metadata can not be read at byte ${at}`)
  }
}

/** @throws Error with the place where it is none */
export const parseLvmText = (text: string): Section => {
  let at = 0
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (!found) return undefined
    at = pattern.lastIndex
    return found[1] ?? found[0]
  }
  const skip = () => match(/(?:\s+|#[^\n]*)*/y)
  const take = (character: string): boolean => {
    skip()
    if (text[at] !== character) return false
    at++
    return true
  }
  const scalar = (): number | string => {
    skip()
    const quoted = match(/"((?:[^"\\]|\\.)*)"/y)
    if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1')
    const number = match(/-?\d+(?:\.\d+)?/y)
    if (number === undefined) throw new SyntaxProblem(at)
    return Number(number)
  }
  const list = (): (number | string)[] => {
    const values: (number | string)[] = []
    while (!take(']')) {
      values.push(scalar())
      if (!take(',') && text[at] !== ']') throw new SyntaxProblem(at)
    }
    return values
  }
  const section = (depth: number): Section => {
    if (depth > depthMax) throw new SyntaxProblem(at)
    const entries: [string, Value][] = []
    for (;;) {
      skip()
      if (at >= text.length || text[at] === '}') return Object.fromEntries(entries)
      const name = match(/[A-Za-z0-9_.+-]+/y)
      if (name === undefined) throw new SyntaxProblem(at)
      if (take('{')) {
        entries.push([name, section(depth + 1)])
        if (!take('}')) throw new SyntaxProblem(at)
      } else if (take('=')) entries.push([name, take('[') ? list() : scalar()])
      else throw new SyntaxProblem(at)
    }
  }
  const all = section(0)
  if (at < text.length) throw new SyntaxProblem(at)
  return all
}
