/** What a page shows beyond its path is in the URL's query: a link brings somebody else to the very same view. */
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'

type Search = Record<string, string | undefined>

/** @returns the query, and a change of it: empty text takes a name out. Typing leaves no trail in the history. */
export const useUrlState = (): [Search, (change: Search) => void] => {
  const search = useSearch({ strict: false }) as Search
  const navigate = useNavigate()
  const change = useCallback(
    (next: Search) =>
      void navigate({
        to: '.',
        replace: true,
        search: ((before: Search) =>
          Object.fromEntries(
            Object.entries({ ...before, ...next }).filter(([, value]) => value !== undefined && value !== ''),
          )) as never,
      }),
    [navigate],
  )
  return [search, change]
}
