/** One listing of all that lies below a folder on several volumes. */
import type { Listing } from '../../contract/agent.ts'
import type { Entry } from '../../contract/api/restore.ts'
import { listingLimits } from '../../contract/listing-limits.ts'
import type { Page } from '../files/list.ts'
import type { VolumePart } from './volume-part.ts'

export const bytesOfPath = (entry: Pick<Entry, 'path' | 'path_b64'>): Buffer =>
  entry.path_b64 === null ? Buffer.from(entry.path) : Buffer.from(entry.path_b64, 'base64')

/** Depth-first, names in byte order: what lies in a folder comes before its neighbours, whatever their names go on with. */
const sortKey = (entry: Entry) => bytesOfPath(entry).toString('latin1').replaceAll('/', '\0')

/** Stops at the bounds of listingLimits and says so. @param entriesOf gives what is to be seen of a part, as the guest sees it */
export const listVolumes = async (
  parts: readonly VolumePart[],
  { limit, offset }: Page,
  entriesOf: (part: VolumePart) => AsyncIterable<Entry[] | 'truncated'>,
): Promise<Pick<Listing, 'entries' | 'total_count' | 'truncated'>> => {
  const found: { entry: Entry; key: string }[] = []
  let truncated = false
  const isFull = () => found.length > listingLimits.walkEntries
  for (const part of parts) {
    if (isFull()) break
    for await (const entries of entriesOf(part)) {
      if (entries === 'truncated') truncated = true
      else for (const entry of entries) found.push({ entry, key: sortKey(entry) })
      if (isFull()) break
    }
  }
  if (isFull()) {
    found.length = listingLimits.walkEntries
    truncated = true
  }
  found.sort((a, b) => (a.key < b.key ? -1 : 1))
  const entries = found.slice(offset, offset + limit).map(({ entry }) => entry)
  return { entries, total_count: found.length, truncated }
}
