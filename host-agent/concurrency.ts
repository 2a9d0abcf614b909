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

/** The items in their order, `size` at a time. */
export const inBatches = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

/** What `work` gives for each of the items, in their order; begun for some of them ahead, and ended before this ends. */
export async function* ahead<T, R>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = []
  let next = 0
  const begin = () => {
    if (next === items.length) return
    const promise = work(items[next++]!)
    // Looked at in its turn; until then a rejection is not an unhandled one.
    promise.catch(() => undefined)
    begun.push(promise)
  }
  for (let at = 0; at < count; at++) begin()
  try {
    for (let first = begun.shift(); first !== undefined; first = begun.shift()) {
      const result = await first
      begin()
      yield result
    }
  } finally {
    await Promise.allSettled(begun)
  }
}

/** Does `work` for the items and for those that it gives, the last one first; at most `atOnce` at a time. Begins nothing after an error, which is thrown when all have ended. */
export const workThrough = <T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<readonly T[]>,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const waiting = [...items]
    let busy = 0
    let failed: { error: unknown } | undefined
    const next = () => {
      while (!failed && busy < atOnce && waiting.length > 0) {
        busy++
        work(waiting.pop()!)
          .then((found) => {
            for (const item of found) waiting.push(item)
          })
          .catch((error: unknown) => {
            failed ??= { error }
          })
          .finally(() => {
            busy--
            next()
          })
      }
      if (busy > 0) return
      if (failed) reject(failed.error)
      else resolve()
    }
    next()
  })
