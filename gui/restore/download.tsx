/** Takes files and folders out of a mount, by the browser's own downloads. */
import { Text } from '@mantine/core'
import { modals } from '@mantine/modals'
import { get, withQuery } from '../api/client.ts'
import type { Entry, Listing } from '../api/types.ts'
import { sayDone, sayProblem } from '../components/say.ts'
import { download } from '../lib/browser.ts'
import { bytes } from '../lib/format.ts'
import { type FolderPlace, placeQuery } from './use-listing.ts'

type Wanted = Pick<Entry, 'name' | 'path' | 'path_b64' | 'type' | 'size'>
/** Above this somebody is asked first. */
const largeBytes = 2 ** 30
/** A browser that is given many downloads at once takes only some. */
const pauseMs = 400

const urlOf = ({ mountId, partition }: FolderPlace, entry: Wanted, format: string) =>
  withQuery(
    `/restore/${encodeURIComponent(mountId)}/${entry.type === 'directory' ? 'download-directory' : 'download'}`,
    {
      ...placeQuery({ path: entry.path, pathB64: entry.path_b64 }),
      partition,
      ...(entry.type === 'directory' ? { format } : {}),
    },
  )

/** What is in a folder, as far as a look of bounded length tells. */
const sizeOf = async (
  { mountId, partition }: FolderPlace,
  entry: Wanted,
): Promise<{ size: number; isMore: boolean }> => {
  if (entry.type === 'file') return { size: entry.size, isMore: false }
  const { files, has_more, truncated } = await get<Listing>(
    withQuery(`/restore/${encodeURIComponent(mountId)}/files`, {
      ...placeQuery({ path: entry.path, pathB64: entry.path_b64 }),
      partition,
      recursive: true,
      limit: 10_000,
    }),
  )
  return {
    size: files.reduce((sum, { size, type }) => sum + (type === 'file' ? size : 0), 0),
    isMore: has_more || truncated,
  }
}

const begin = async (place: FolderPlace, entries: readonly Wanted[], format: string) => {
  for (const [at, entry] of entries.entries()) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
    await download(urlOf(place, entry, format))
  }
  sayDone(entries.length === 1 ? 'The download has begun' : `${entries.length} downloads have begun`)
}

/** Asks first when it is much. Says what came of it. */
export const downloadEntries = (place: FolderPlace, entries: readonly Wanted[], format: 'zip' | 'tar.gz') => {
  const work = async () => {
    const sizes = await Promise.all(entries.map((entry) => sizeOf(place, entry)))
    const [size, isMore] = [sizes.reduce((sum, one) => sum + one.size, 0), sizes.some((one) => one.isMore)]
    const go = () => void begin(place, entries, format).catch(sayProblem)
    if (size <= largeBytes && !isMore) return go()
    modals.openConfirmModal({
      title: 'This is a large download',
      children: (
        <Text size="sm">
          {isMore ? 'At least ' : ''}
          {bytes(size)} are to be read from the restore point. The mount stays open as long as it takes.
        </Text>
      ),
      labels: { confirm: 'Download', cancel: 'Cancel' },
      onConfirm: go,
    })
  }
  void work().catch(sayProblem)
}
