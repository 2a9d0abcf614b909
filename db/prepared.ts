/** Queries whose SQL is built once: building it takes as long as the server needs to answer it. */
import type { Executor } from './database.ts'

/**
 * @param build makes the query, with `sql.placeholder` for what changes
 * @returns the query of a database or a transaction, built when it is first asked for
 */
export const prepared = <Query extends object>(build: (db: Executor) => Query): ((db: Executor) => Query) => {
  const queries = new WeakMap<Executor, Query>()
  return (db) => {
    const known = queries.get(db)
    if (known) return known
    const query = build(db)
    queries.set(db, query)
    return query
  }
}
