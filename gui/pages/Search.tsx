/** Finds files in all restore points, wherever they are. */
import { ActionIcon, Button, Group, Select, Switch, Text, TextInput, Tooltip } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconDownload, IconFileSearch, IconFolder, IconHistory, IconSearch } from '@tabler/icons-react'
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { get, withQuery } from '../api/client.ts'
import { useMay } from '../api/session.ts'
import type { FoundFiles } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Problem } from '../components/Problem.tsx'
import { downloadFile, type FoundFile } from '../files/download-file.ts'
import { VersionsDialog } from '../files/VersionsDialog.tsx'
import { bytes } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'

const pageSize = 100
type Found = FoundFiles['files'][number]

const columns = (mayDownload: boolean, showVersions: (file: Found) => void): Column<Found>[] => [
  {
    id: 'name',
    header: 'Name',
    value: ({ path }) => path.slice(path.lastIndexOf('/') + 1),
    cell: ({ path, type }) => (
      <Group gap={6} wrap="nowrap">
        {type === 'directory' && <IconFolder size={16} aria-label="Folder" />}
        <Name>{path.slice(path.lastIndexOf('/') + 1)}</Name>
      </Group>
    ),
  },
  {
    id: 'vm',
    header: 'Virtual machine',
    value: ({ vm_name }) => vm_name,
    cell: ({ vm_name }) => <Name>{vm_name}</Name>,
  },
  {
    id: 'folder',
    header: 'Folder',
    wide: true,
    value: ({ path }) => path,
    cell: ({ path }) => <Name>{path.slice(0, path.lastIndexOf('/')) || '/'}</Name>,
  },
  {
    id: 'volume',
    header: 'Volume',
    wide: true,
    value: ({ volume }) => volume,
    cell: ({ volume }) => <Name>{volume}</Name>,
  },
  {
    id: 'size',
    header: 'Size',
    align: 'end',
    value: ({ size }) => size,
    cell: ({ size, type }) => (type === 'directory' ? '' : bytes(size)),
  },
  {
    id: 'modified',
    header: 'Changed',
    wide: true,
    value: ({ modified_time }) => modified_time,
    cell: ({ modified_time }) => <Moment at={modified_time} />,
  },
  {
    id: 'point',
    header: 'Newest restore point',
    wide: true,
    value: ({ completed_at }) => completed_at,
    cell: ({ completed_at, is_current }) => (
      <>
        <Moment at={completed_at} relative />
        {!is_current && ', not later'}
      </>
    ),
  },
  {
    id: 'actions',
    header: '',
    narrow: true,
    cell: (file) => (
      <Group gap={4} wrap="nowrap">
        <Tooltip label="Versions">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Versions of ${file.path}`}
            onClick={() => showVersions(file)}
          >
            <IconHistory size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Download">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Download ${file.path}`}
            disabled={!mayDownload || file.type !== 'file'}
            onClick={() => downloadFile(file)}
          >
            <IconDownload size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
    ),
  },
]

/** What is typed is one: then it is looked for, where a policy has contents read. */
const sha256 = /^[0-9a-f]{64}$/i

const Search = () => {
  const [url, setUrl] = useUrlState()
  const mayDownload = useMay('operator')
  const [text] = useDebouncedValue(url.q ?? '', 250)
  const [shown, setShown] = useState<FoundFile | null>(null)
  const isAsked = /[\p{L}\p{N}]/u.test(text)
  const query = useInfiniteQuery({
    queryKey: ['search', text, url.type, url.deleted, url.vm],
    queryFn: ({ pageParam, signal }) =>
      get<FoundFiles>(
        withQuery('/search', {
          ...(sha256.test(text.trim()) ? { sha256: text.trim() } : { q: text }),
          type: url.type,
          deleted: url.deleted,
          vm_name: url.vm,
          limit: pageSize,
          offset: pageParam,
        }),
        signal,
      ),
    initialPageParam: 0,
    getNextPageParam: ({ next_offset }) => next_offset,
    enabled: isAsked && mayDownload,
    placeholderData: keepPreviousData,
  })
  const files = isAsked ? (query.data?.pages.flatMap((page) => page.files) ?? []) : []
  return (
    <Page title="Search files" text="In the restore points whose files are indexed, of all virtual machines.">
      <Group gap="sm" align="flex-end">
        <TextInput
          label="Name or SHA-256"
          description="Words of the name, or their beginnings."
          placeholder="annual report pdf"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={url.q ?? ''}
          onChange={(event) => setUrl({ q: event.currentTarget.value })}
          w={{ base: '100%', sm: 360 }}
          data-search
          autoFocus
        />
        <TextInput
          label="Virtual machine"
          placeholder="Any"
          value={url.vm ?? ''}
          onChange={(event) => setUrl({ vm: event.currentTarget.value })}
          w={{ base: '100%', xs: 200 }}
        />
        <Select
          label="Kind"
          placeholder="Any"
          data={[
            { value: 'file', label: 'Files' },
            { value: 'directory', label: 'Folders' },
          ]}
          value={url.type ?? null}
          onChange={(value) => setUrl({ type: value ?? '' })}
          clearable
          w={{ base: '100%', xs: 130 }}
        />
        <Switch
          label="Also what is gone by now"
          checked={url.deleted === 'true'}
          onChange={(event) => setUrl({ deleted: event.currentTarget.checked ? 'true' : '' })}
          mb={8}
        />
      </Group>
      {query.error && <Problem error={query.error} onRetry={() => void query.refetch()} />}
      {!mayDownload ? (
        <Empty title="Names of files are for operators" text="An admin can change the role of your user." />
      ) : !isAsked ? (
        <Empty
          icon={IconFileSearch}
          title="What are you looking for?"
          text="Backups under a policy that indexes files can be searched; of others it can be asked for on the backup’s page."
        />
      ) : (
        <div aria-busy={query.isFetching}>
          <DataTable
            label="Files"
            rows={files}
            columns={columns(mayDownload, setShown)}
            rowId={({ backup_id, volume, path, path_b64, modified_time }) =>
              `${backup_id} ${volume} ${path_b64 ?? path} ${modified_time}`
            }
            search={false}
            urlPrefix="files"
            empty={
              query.isFetching ? (
                <Text c="dimmed" role="status">
                  Searching…
                </Text>
              ) : (
                <Empty
                  title="No file fits"
                  text="Try fewer words, or their beginnings. Names are searched, not what files hold."
                />
              )
            }
          />
          {query.hasNextPage && (
            <Button
              mt="sm"
              variant="default"
              loading={query.isFetchingNextPage}
              onClick={() => void query.fetchNextPage()}
            >
              Show more
            </Button>
          )}
        </div>
      )}
      {shown && <VersionsDialog file={shown} onClose={() => setShown(null)} />}
    </Page>
  )
}
export default Search
