/** All entries of a folder, page by page: the first are shown while the rest is still on its way. */
import { useInfiniteQuery } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import { get, withQuery } from '../api/client.ts'
import type { Entry, Listing } from '../api/types.ts'

/** Small enough that reading one keeps no frame waiting. */
const pageSize = 2_500
const entriesMax = 1_000_000

export type FolderPlace = { mountId: string; partition: number; path: string; pathB64: string | undefined }
/** How an entry, or a folder, is named in a query. */
export const placeQuery = ({ path, pathB64 }: { path: string; pathB64?: string | undefined | null }) =>
  pathB64 ? { path_b64: pathB64 } : { path }

export const useListing = ({ mountId, partition, path, pathB64 }: FolderPlace) => {
  const query = useInfiniteQuery({
    queryKey: ['files', mountId, partition, pathB64 ?? path],
    queryFn: ({ pageParam, signal }) =>
      get<Listing>(
        withQuery(`/restore/${encodeURIComponent(mountId)}/files`, {
          ...placeQuery({ path, pathB64 }),
          partition,
          limit: pageSize,
          offset: pageParam,
        }),
        signal,
      ),
    initialPageParam: 0,
    getNextPageParam: ({ next_offset }) => (next_offset !== null && next_offset < entriesMax ? next_offset : undefined),
    staleTime: 60_000,
    // Looking for what is the same in 100 000 entries, page after page, costs frames; a folder of a backup does not change.
    structuralSharing: false,
  })
  const { hasNextPage, isFetchingNextPage, fetchNextPage, data } = query
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, fetchNextPage])
  const entries = useMemo<Entry[]>(() => data?.pages.flatMap(({ files }) => files) ?? [], [data])
  return { query, entries, total: data?.pages[0]?.total ?? 0 }
}
