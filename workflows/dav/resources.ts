/** The files and folders at a place of a mount's tree, as WebDAV is told of them. */
import type { Entry, Partition } from '../../contract/api/restore.ts'
import { listingLimits } from '../../contract/listing-limits.ts'
import type { Env } from '../../runtime/bindings/index.ts'
import { mimeType } from '../downloads.ts'
import { isShown, nameBytes } from '../mount-tree.ts'
import { encoded, placeOf } from './tree.ts'
import type { Resource } from './xml.ts'

const folder = (href: string, name: string, modified: string | null = null): Resource => ({
  href: href.endsWith('/') ? href : `${href}/`,
  name,
  isFolder: true,
  sizeBytes: 0,
  modified,
  contentType: '',
})
const httpDate = (time: string): string | null => {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? null : date.toUTCString()
}
/** @param href of the entry, without a slash at its end */
const resourceOf = (entry: Entry, href: string): Resource =>
  entry.type === 'directory'
    ? folder(href, entry.name, httpDate(entry.modified_time))
    : {
        href,
        name: entry.name,
        isFolder: false,
        sizeBytes: entry.size,
        modified: httpDate(entry.modified_time),
        contentType: mimeType(entry.name) ?? 'application/octet-stream',
      }

/**
 * Itself first, then, where it is asked, what the folder holds; a folder of many entries in many parts.
 * @param tree where the tree begins, and the path below it, percent-encoded
 * @throws FILE_NOT_FOUND, PATH_INVALID, and what the agent throws
 */
export async function* resourcesAt(
  { AGENT }: Env<'AGENT'>,
  mountId: string,
  { base, below }: { base: string; below: string },
  withEntries: boolean,
): AsyncGenerator<Resource[], undefined> {
  const { partitions }: { partitions: Partition[] } = await AGENT.getMount(mountId)
  const place = placeOf(partitions, below)
  if (place.kind === 'volumes') {
    const own = folder(base, 'volumes')
    yield withEntries ? [own, ...place.folders.map(({ name, label }) => folder(`${base}/${name}`, label))] : [own]
    return undefined
  }
  const { path, bytes } = place
  const isTop = bytes.length === 1
  const href = isTop ? base : `${base}${encoded(bytes)}`
  const info = await AGENT.fileInfo(mountId, path)
  yield [resourceOf(info, href)]
  if (!withEntries || info.type !== 'directory') return undefined
  for (let offset = 0; ; ) {
    const page = await AGENT.listFiles(mountId, { ...path, recursive: false, limit: listingLimits.max, offset })
    yield page.entries.filter(isShown).map((entry) => resourceOf(entry, `${href}/${encoded(nameBytes(entry))}`))
    offset += page.entries.length
    if (page.entries.length === 0 || offset >= page.total_count) return undefined
  }
}
