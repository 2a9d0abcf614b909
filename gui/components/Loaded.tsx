import { Skeleton, Stack } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Problem } from './Problem.tsx'

/** What a query brought, or why not. What was there before stays on the page while it is asked for again. */
export const Loaded = <T,>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) => {
  const retry = () => void query.refetch()
  if (query.data !== undefined)
    return (
      <>
        {query.error && <Problem error={query.error} onRetry={retry} />}
        {children(query.data)}
      </>
    )
  if (query.error) return <Problem error={query.error} onRetry={retry} />
  return (
    <Stack gap="sm" aria-busy="true" aria-label="Loading">
      {[90, 100, 80, 95].map((width) => (
        <Skeleton key={width} height={28} width={`${width}%`} />
      ))}
    </Stack>
  )
}
