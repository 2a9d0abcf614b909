/** Medians of interleaved rounds: on a machine that others use, only a ratio of two things measured side by side says something. */
export const rounds = 5

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
