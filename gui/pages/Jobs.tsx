/** All backups that run and ran, newest first; paged by the hub, however many they are. */
import { Group, Select, Text } from '@mantine/core'
import { useLive } from '../api/live.ts'
import { options, useBackups, useRepositories } from '../api/queries.ts'
import type { Backup } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Pages, usePage } from '../components/Pages.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { VmSelect } from '../components/VmSelect.tsx'
import { bytes, duration, percent, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'

const pageSize = 100

/** Status and progress, as last told. */
const Status = ({ job }: { job: Backup }) => {
  const now = useLive().jobs.get(job.backup_id) ?? job
  return (
    <Group gap={6} wrap="nowrap">
      <StatusBadge status={now.status} />
      {['started', 'in_progress', 'stalled'].includes(now.status) && (
        <Text size="sm">{percent(now.progress_percent)}</Text>
      )}
    </Group>
  )
}

const columns: Column<Backup>[] = [
  {
    id: 'vm',
    header: 'Virtual machine',
    cell: ({ backup_id, vm_name }) => (
      <NameLink to="/jobs/$id" params={{ id: backup_id }}>
        {vm_name}
      </NameLink>
    ),
  },
  { id: 'status', header: 'Status', cell: (job) => <Status job={job} /> },
  { id: 'type', header: 'Kind', wide: true, cell: ({ backup_type }) => words(backup_type) },
  { id: 'began', header: 'Began', cell: ({ created_at }) => <Moment at={created_at} /> },
  {
    id: 'duration',
    header: 'Duration',
    align: 'end',
    wide: true,
    cell: ({ started_at, completed_at }) =>
      started_at && completed_at ? duration((Date.parse(completed_at) - Date.parse(started_at)) / 1000) : '–',
  },
  {
    id: 'bytes',
    header: 'Transferred',
    align: 'end',
    wide: true,
    cell: ({ bytes_transferred }) => bytes(bytes_transferred),
  },
  { id: 'repository', header: 'Repository', wide: true, cell: ({ repository_name }) => <Name>{repository_name}</Name> },
  {
    id: 'error',
    header: 'What went wrong',
    wide: true,
    cell: ({ error_message }) => (error_message ? <Name>{error_message}</Name> : ''),
  },
]

const Jobs = () => {
  const [url, setUrl] = useUrlState()
  const repositories = useRepositories()
  const page = usePage()
  const query = useBackups({
    vm_context_id: url.vm,
    status: url.status,
    backup_type: url.type,
    repository_id: url.repository,
    limit: pageSize,
    offset: (page - 1) * pageSize,
  })
  const filter = (name: string, label: string, data: { value: string; label: string }[], width = 160) => (
    <Select
      aria-label={label}
      placeholder={label}
      data={data}
      value={url[name] ?? null}
      onChange={(value) => setUrl({ [name]: value ?? '', page: '' })}
      clearable
      searchable={data.length > 7}
      limit={100}
      w={width}
    />
  )
  return (
    <Page title="Jobs" text="Every backup that runs or ran, the newest first.">
      <Loaded query={query}>
        {({ backups, total }) => (
          <>
            <DataTable
              label="Jobs"
              rows={backups}
              columns={columns}
              rowId={({ backup_id }) => backup_id}
              search={false}
              empty={<Empty title="No jobs" text="Nothing has run yet, or nothing fits these filters." />}
              filters={
                <>
                  <VmSelect
                    aria-label="Any machine"
                    placeholder="Any machine"
                    value={url.vm ?? null}
                    onChange={(vm) => setUrl({ vm: vm ?? '', page: '' })}
                    clearable
                    w={220}
                    description={null}
                  />
                  {filter(
                    'status',
                    'Any status',
                    ['started', 'in_progress', 'stalled', 'completed', 'failed', 'cancelled'].map((value) => ({
                      value,
                      label: words(value),
                    })),
                  )}
                  {filter(
                    'type',
                    'Any kind',
                    ['full', 'incremental'].map((value) => ({ value, label: words(value) })),
                  )}
                  {filter('repository', 'Any repository', options(repositories.data), 200)}
                </>
              }
            />
            <Pages total={total} pageSize={pageSize} noun="jobs" />
          </>
        )}
      </Loaded>
    </Page>
  )
}
export default Jobs
