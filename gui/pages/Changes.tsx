/** What differs between a restore point and another one of its machine. */
import { Badge, Button, Group, Select, Text } from '@mantine/core'
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { get, withQuery } from '../api/client.ts'
import { useBackup, useBackups } from '../api/queries.ts'
import type { Backup, Differences } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Name } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Problem } from '../components/Problem.tsx'
import { bytes, dateTime } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'

const pageSize = 500
type Change = Differences['changes'][number]
const looks: Record<Change['change'], { color: string; text: string }> = {
  added: { color: '#1e7534', text: 'Added' },
  changed: { color: 'teal.7', text: 'Changed' },
  removed: { color: '#a83c0a', text: 'Removed' },
}
const columns: Column<Change>[] = [
  {
    id: 'change',
    header: 'What',
    value: ({ change }) => change,
    cell: ({ change }) => (
      <Badge color={looks[change].color} tt="none" radius="sm">
        {looks[change].text}
      </Badge>
    ),
  },
  { id: 'path', header: 'Path', value: ({ path }) => path, cell: ({ path }) => <Name>{path}</Name> },
  {
    id: 'volume',
    header: 'Volume',
    wide: true,
    value: ({ volume }) => volume,
    cell: ({ volume }) => <Name>{volume}</Name>,
  },
  {
    id: 'before',
    header: 'Size before',
    align: 'end',
    wide: true,
    value: ({ before }) => before?.size ?? null,
    cell: ({ before }) => (before === null ? '–' : bytes(before.size)),
  },
  {
    id: 'after',
    header: 'Size after',
    align: 'end',
    value: ({ after }) => after?.size ?? null,
    cell: ({ after }) => (after === null ? '–' : bytes(after.size)),
  },
]

const at = ({ completed_at, created_at }: Pick<Backup, 'completed_at' | 'created_at'>) =>
  dateTime(completed_at ?? created_at)

const Table = ({ id, other }: { id: string; other: string }) => {
  const query = useInfiniteQuery({
    queryKey: ['changes', id, other],
    queryFn: ({ pageParam, signal }) =>
      get<Differences>(
        withQuery(`/backups/${encodeURIComponent(other)}/diff/${encodeURIComponent(id)}`, {
          limit: pageSize,
          offset: pageParam,
        }),
        signal,
      ),
    initialPageParam: 0,
    getNextPageParam: ({ next_offset }) => next_offset,
  })
  if (query.error) return <Problem error={query.error} onRetry={() => void query.refetch()} />
  if (!query.data)
    return (
      <Text c="dimmed" role="status">
        Comparing…
      </Text>
    )
  return (
    <div>
      <DataTable
        label="Changes"
        rows={query.data.pages.flatMap(({ changes }) => changes)}
        columns={columns}
        rowId={({ volume, path, path_b64 }) => `${volume} ${path_b64 ?? path}`}
        empty={<Empty title="Nothing differs" text="Both have the same files, of the same sizes and times." />}
      />
      {query.hasNextPage && (
        <Button mt="sm" variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Show more
        </Button>
      )}
    </div>
  )
}

const Changes = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const [url, setUrl] = useUrlState()
  const backup = useBackup(id)
  const contextId = backup.data?.vm_context_id ?? undefined
  const others = useBackups({ vm_context_id: contextId, status: 'completed', limit: 1000 }, contextId !== undefined)
  return (
    <Page
      title="What changed"
      text={backup.data && `Of ${backup.data.vm_name}, up to ${at(backup.data)}`}
      actions={
        <Button component={Link} to="/jobs/$id" {...({ params: { id } } as object)} variant="default">
          To the backup
        </Button>
      }
    >
      <Loaded query={others}>
        {({ backups }) => {
          const own = backup.data
          const older = backups.filter(
            (one) =>
              one.backup_id !== id &&
              one.repository_id === own?.repository_id &&
              one.created_at < (own?.created_at ?? ''),
          )
          const other = url.since ?? own?.parent_backup_id ?? older[0]?.backup_id
          return (
            <>
              <Group>
                <Select
                  label="Since"
                  data={older.map((one) => ({ value: one.backup_id, label: at(one) }))}
                  value={other ?? null}
                  onChange={(value) => setUrl({ since: value ?? '' })}
                  allowDeselect={false}
                  searchable
                  w={{ base: '100%', xs: 280 }}
                />
              </Group>
              {other === undefined ? (
                <Empty title="There is no earlier restore point" text="What changes is seen with the next backup." />
              ) : (
                <Table key={other} id={id} other={other} />
              )}
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}
export default Changes
