/** Applies `work` to all items, at most `atOnce` at a time; waits only where `work` does. @returns the results in the order of the items */
export const mapSome = async <T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => R | Promise<R>,
): Promise<R[]> => {
  const results: R[] = new Array(items.length)
  let next = 0
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) {
      const result = work(items[at]!)
      results[at] = result instanceof Promise ? await result : result
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}
