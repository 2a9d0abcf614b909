/** Enough for a median that one slow round does not move; even, so that each side is first as often as the other. */
export const rounds = 6

export const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * Measures things side by side, since on a machine that others use only their ratio says something. Each round begins with another
 * one: whoever comes second finds memory that the first has warmed.
 * @param sides each measures itself once, in seconds
 * @returns their medians
 */
export const sideBySide = async <Name extends string>(
  sides: Record<Name, () => Promise<number>>,
  times = rounds,
): Promise<Record<Name, number>> => {
  const names = Object.keys(sides) as Name[]
  const taken = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round < times; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]!
      taken[name].push(await sides[name]())
    }
  return Object.fromEntries(names.map((name) => [name, median(taken[name])])) as Record<Name, number>
}

export type Row = { what: string; ours: string; peer: string; ratio: number; goal: string; met: boolean }
/** @param isMet whether the ratio reaches the goal */
export const row = (what: string, ours: string, peer: string, ratio: number, goal: string, isMet: boolean): Row => ({
  what,
  ours,
  peer,
  ratio: Math.round(ratio * 100) / 100,
  goal,
  met: isMet,
})

export const print = (rows: readonly Row[]) => {
  for (const { what, ours, peer, ratio, goal, met } of rows)
    process.stdout.write(`| ${what} | ${ours} | ${peer} | **${ratio}** | ${goal} | ${met ? 'yes' : 'no'} |\n`)
}
