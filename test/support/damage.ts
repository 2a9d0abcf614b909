/** Seeded damage to files: what a disk, a transport or a person does to them. */
import { readFileSync, writeFileSync } from 'node:fs'

export type Random = (below: number) => number

/** Mulberry32: the same numbers for the same seed, for ever (https://github.com/cprosche/mulberry32). */
export const seeded = (seed: number): Random => {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const sectorBytes = 4096
const kinds = ['flip', 'flip', 'flip', 'truncate', 'append', 'zero', 'swap', 'foreign'] as const

/** @param foreign whole content of another file of the same kind @returns the damaged content, and what was done to it */
const damaged = (content: Buffer, foreign: Buffer, random: Random): [Buffer, string] => {
  const kind = kinds[random(kinds.length)]!
  const copy = Buffer.from(content)
  const sectors = Math.max(1, Math.floor(content.length / sectorBytes))
  switch (kind) {
    case 'flip': {
      const bit = random(content.length * 8)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      return [copy, `flip of bit ${bit}`]
    }
    case 'truncate': {
      const length = random(content.length)
      return [copy.subarray(0, length), `truncation to ${length}`]
    }
    case 'append':
      return [Buffer.concat([copy, Buffer.alloc(1 + random(sectorBytes), 0x55)]), 'bytes appended']
    case 'zero': {
      const at = random(sectors) * sectorBytes
      return [copy.fill(0, at, Math.min(copy.length, at + sectorBytes)), `zeros at ${at}`]
    }
    case 'swap': {
      const [a, b] = [random(sectors) * sectorBytes, random(sectors) * sectorBytes]
      content.copy(copy, a, b, b + sectorBytes)
      content.copy(copy, b, a, a + sectorBytes)
      return [copy, `swap of ${a} and ${b}`]
    }
    case 'foreign':
      return [Buffer.from(foreign), 'foreign file']
  }
}

/**
 * Damages one file while `look` runs, and restores it.
 * @returns what was done; undefined when the damage changed nothing
 */
export const whileDamaged = async (
  path: string,
  foreignPath: string,
  random: Random,
  look: (what: string) => Promise<void>,
): Promise<string | undefined> => {
  const content = readFileSync(path)
  const [bad, what] = damaged(content, readFileSync(foreignPath), random)
  if (bad.equals(content)) return undefined
  writeFileSync(path, bad)
  try {
    await look(what)
  } finally {
    writeFileSync(path, content)
  }
  return what
}
