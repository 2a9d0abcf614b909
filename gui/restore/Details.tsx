/** All that is known of one file or folder. */
import { Code, Modal } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { get, withQuery } from '../api/client.ts'
import type { Entry, FileDetails } from '../api/types.ts'
import { Facts } from '../components/Facts.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { bytes, count, dateTime, utc } from '../lib/format.ts'
import { type FolderPlace, placeQuery } from './use-listing.ts'

const moment = (at: string) => <span title={utc(at)}>{dateTime(at)}</span>
const kindOf = ({ type, special, is_symlink }: FileDetails) =>
  is_symlink ? 'Link' : special ? 'Device, pipe or socket' : type === 'directory' ? 'Folder' : 'File'

const factsOf = (file: FileDetails): [string, ReactNode][] => [
  ['Path', <Code key="path">{file.path}</Code>],
  ['Kind', `${kindOf(file)}${file.mime_type === null ? '' : `, ${file.mime_type}`}`],
  ...(file.symlink_target === null ? [] : [['Leads to', file.symlink_target] as [string, ReactNode]]),
  ...(file.type === 'file' ? [['Size', `${bytes(file.size)} (${count(file.size)} bytes)`] as [string, ReactNode]] : []),
  ['Modified', moment(file.modified_time)],
  ['Accessed', moment(file.accessed_time)],
  ...(file.created_time === null ? [] : [['Created', moment(file.created_time)] as [string, ReactNode]]),
  ['Owner, group', `${file.uid}, ${file.gid}`],
  ['Mode', <Code key="mode">{file.mode}</Code>],
  ...(file.streams.length === 0 ? [] : [['Alternate data streams', file.streams.join(', ')] as [string, ReactNode]]),
]

export const Details = ({ place, entry, onClose }: { place: FolderPlace; entry: Entry; onClose: () => void }) => {
  const query = useQuery({
    queryKey: ['file-info', place.mountId, place.partition, entry.path_b64 ?? entry.path],
    queryFn: ({ signal }) =>
      get<FileDetails>(
        withQuery(`/restore/${encodeURIComponent(place.mountId)}/file-info`, {
          ...placeQuery({ path: entry.path, pathB64: entry.path_b64 }),
          partition: place.partition,
        }),
        signal,
      ),
    staleTime: 60_000,
  })
  return (
    <Modal opened onClose={onClose} title={`Details of ${entry.name}`} size="lg">
      <Loaded query={query}>{(file) => <Facts facts={factsOf(file)} />}</Loaded>
    </Modal>
  )
}
