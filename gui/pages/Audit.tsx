/** What was done, by whom, and with what result; paged by the hub. */
import { Anchor, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { apiUrl, get, withQuery } from '../api/client.ts'
import type { AuditPage } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Pages, usePage } from '../components/Pages.tsx'
import { words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'

const pageSize = 100
type Entry = AuditPage['entries'][number]
const columns: Column<Entry>[] = [
  { id: 'at', header: 'When', cell: ({ timestamp }) => <Moment at={timestamp} /> },
  { id: 'who', header: 'Who', cell: ({ actor, actor_kind }) => <Name>{actor ?? words(actor_kind)}</Name> },
  { id: 'what', header: 'What', cell: ({ action }) => action },
  { id: 'path', header: 'On', wide: true, cell: ({ method, path }) => <Name>{`${method} ${path}`}</Name> },
  {
    id: 'status',
    header: 'Result',
    align: 'end',
    cell: ({ status_code, code }) => (code ? `${status_code} ${code}` : status_code),
  },
  { id: 'from', header: 'From', wide: true, cell: ({ remote_addr }) => remote_addr ?? '–' },
]

const Audit = () => {
  const [url, setUrl] = useUrlState()
  const [actor] = useDebouncedValue(url.actor ?? '', 300)
  const [action] = useDebouncedValue(url.action ?? '', 300)
  const page = usePage()
  const query = useQuery({
    queryKey: ['audit', actor, action, page],
    queryFn: ({ signal }) =>
      get<AuditPage>(
        withQuery('/admin/audit', { actor, action, limit: pageSize, offset: (page - 1) * pageSize }),
        signal,
      ),
    placeholderData: keepPreviousData,
  })
  const filter = (name: 'actor' | 'action', label: string) => (
    <TextInput
      aria-label={label}
      placeholder={label}
      value={url[name] ?? ''}
      onChange={(event) => setUrl({ [name]: event.currentTarget.value, page: '' })}
      w={180}
    />
  )
  return (
    <Page
      title="Audit log"
      text="Every change, every download and every refusal."
      actions={
        <Anchor href={apiUrl(withQuery('/admin/audit', { actor, action, format: 'ndjson' }))} download="audit.ndjson">
          Download all
        </Anchor>
      }
    >
      <Loaded query={query}>
        {({ entries, total }) => (
          <>
            <DataTable
              label="Audit log"
              rows={entries}
              columns={columns}
              rowId={({ id }) => String(id)}
              search={false}
              filters={
                <>
                  {filter('actor', 'By whom')}
                  {filter('action', 'What')}
                </>
              }
              empty={<Empty title="Nothing fits" text="Nothing has been done yet, or nothing fits these filters." />}
            />
            <Pages total={total} pageSize={pageSize} noun="entries" />
          </>
        )}
      </Loaded>
    </Page>
  )
}
export default Audit
