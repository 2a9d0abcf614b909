/** One policy, and what it would keep and take away if it were applied now. */
import { Alert, Badge, Group, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { get } from '../api/client.ts'
import type { Policy as PolicyType, Retention } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Facts } from '../components/Facts.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { bytes, count, words } from '../lib/format.ts'
import { keepsInWords } from '../protection/in-words.ts'

type Point = Retention['points'][number]
const columns: Column<Point>[] = [
  {
    id: 'point',
    header: 'Restore point',
    value: ({ completed_at }) => completed_at,
    cell: ({ backup_id, completed_at }) => (
      <NameLink to="/jobs/$id" params={{ id: backup_id }}>
        {completed_at === null
          ? backup_id
          : new Date(completed_at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}
      </NameLink>
    ),
  },
  { id: 'vm', header: 'Virtual machine', value: ({ vm_name }) => vm_name },
  {
    id: 'type',
    header: 'Kind',
    wide: true,
    value: ({ backup_type }) => backup_type,
    cell: ({ backup_type }) => words(backup_type),
  },
  {
    id: 'action',
    header: 'What becomes of it',
    value: ({ action }) => action,
    cell: ({ action }) => (
      <Badge color={action === 'keep' ? '#1e7534' : 'gray.7'} tt="none" radius="sm">
        {action === 'keep' ? 'Stays' : action === 'delete' ? 'Is deleted' : 'Is merged into the next'}
      </Badge>
    ),
  },
  { id: 'why', header: 'Why', wide: true, value: ({ reasons }) => reasons.join(', ') },
  {
    id: 'size',
    header: 'Size',
    align: 'end',
    wide: true,
    value: ({ size_bytes }) => size_bytes,
    cell: ({ size_bytes }) => bytes(size_bytes),
  },
]

const Policy = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useQuery({
    queryKey: ['policies', id],
    queryFn: ({ signal }) => get<PolicyType>(`/policies/${encodeURIComponent(id)}`, signal),
  })
  const plan = useQuery({
    queryKey: ['policies', id, 'retention'],
    queryFn: ({ signal }) => get<Retention>(`/policies/${encodeURIComponent(id)}/retention`, signal),
  })
  return (
    <Page title={query.data?.name ?? 'Policy'} text={query.data && `Keeps ${keepsInWords(query.data)}.`}>
      <Loaded query={query}>
        {(policy) => (
          <Facts
            facts={[
              ['State', policy.enabled ? 'Enabled' : 'Disabled, nothing is taken away'],
              ['Keeps', keepsInWords(policy)],
              ['Copies', `${policy.copy_rules.length}`],
              ['Changed', <Moment key="c" at={policy.updated_at} />],
            ]}
          />
        )}
      </Loaded>
      <Panel title="If it were applied now">
        <Loaded query={plan}>
          {({ points, keep_count, delete_count, freed_bytes }) => (
            <>
              {delete_count > 0 && (
                <Alert variant="light" color="orange" mb="sm" title={`${count(delete_count)} restore points go`}>
                  <Text size="sm">
                    About {bytes(freed_bytes)} become free. The hub does it each night, and after each backup.
                  </Text>
                </Alert>
              )}
              <Group mb="sm">
                <Text size="sm" c="dimmed">
                  {count(keep_count)} stay, {count(delete_count)} go
                </Text>
              </Group>
              <DataTable
                label="Restore points"
                rows={points}
                columns={columns}
                rowId={({ backup_id }) => backup_id}
                sort="-point"
                empty={
                  <Empty
                    title="No restore point is under this policy"
                    text="Give it to a flow, or choose it with Back up now."
                  />
                }
              />
            </>
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
export default Policy
