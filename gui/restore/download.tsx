/** Takes files and folders out of a mount, by the browser's own downloads. */

import { Text } from '@mantine/core'
import { modals } from '@mantine/modals'
import type { ArchiveFormat } from '../../contract/api/restore.ts'
import { get, withQuery } from '../api/client.ts'
import type { Entry, Listing } from '../api/types.ts'
import { sayDone, sayProblem } from '../components/say.ts'
import { download } from '../lib/browser.ts'
import { bytes } from '../lib/format.ts'
import { type FolderPlace, placeQuery } from './use-listing.ts'

type Wanted = Pick<Entry, 'name' | 'path' | 'path_b64' | 'type' | 'size'>
/** Above this somebody is asked first. */
const largeBytes = 2 ** 30

/** A name's bytes as base64url: names of a guest need be no text. */
const nameOf = ({ name, path_b64 }: Wanted): string => {
  const bytes = path_b64 ? atob(path_b64) : String.fromCharCode(...new TextEncoder().encode(name))
  return btoa(bytes.slice(bytes.lastIndexOf('/') + 1))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

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

/** Several entries of a folder become one archive. */
const urlOfAll = (place: FolderPlace, entries: readonly Wanted[], format: string) =>
  entries.length === 1
    ? urlOf(place, entries[0]!, format)
    : withQuery(`/restore/${encodeURIComponent(place.mountId)}/download-directory`, {
        ...placeQuery(place),
        partition: place.partition,
        format,
        only: entries.map(nameOf).join(','),
      })

export const archiveFormats: readonly ArchiveFormat[] = ['zip', 'tar.gz', 'tar.zst']
export const formatWords: Record<ArchiveFormat, string> = { zip: 'ZIP', 'tar.gz': 'tar.gz', 'tar.zst': 'tar.zst' }

/** What a URL can hold, and the hub takes. */
const [entriesMax, namesLengthMax] = [1000, 24_000]

const begin = async (place: FolderPlace, entries: readonly Wanted[], format: string) => {
  if (entries.length > 1 && (entries.length > entriesMax || entries.map(nameOf).join(',').length > namesLengthMax))
    throw new Error('These are too many for one archive. Pick fewer, or take the whole folder.')
  await download(urlOfAll(place, entries, format))
  sayDone('The download has begun')
}

/** Asks first when it is much. Says what came of it. */
export const downloadEntries = (place: FolderPlace, entries: readonly Wanted[], format: ArchiveFormat) => {
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
