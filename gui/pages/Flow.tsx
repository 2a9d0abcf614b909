/** One flow: what it does and how its runs went. */
import { Alert, Button, List } from '@mantine/core'
import { IconPlayerPlay } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { call, get, withQuery } from '../api/client.ts'
import { useFlow, useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Execution, FlowRuns } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Facts } from '../components/Facts.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Page } from '../components/Page.tsx'
import { Pages, usePage } from '../components/Pages.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { bytes, duration } from '../lib/format.ts'

const pageSize = 20

const columns: Column<Execution>[] = [
  { id: 'began', header: 'Began', cell: ({ started_at, created_at }) => <Moment at={started_at ?? created_at} /> },
  { id: 'status', header: 'Status', cell: ({ status }) => <StatusBadge status={status} /> },
  {
    id: 'jobs',
    header: 'Backups',
    align: 'end',
    cell: ({ jobs_completed, jobs_created }) => `${jobs_completed} of ${jobs_created}`,
  },
  {
    id: 'duration',
    header: 'Duration',
    align: 'end',
    wide: true,
    cell: ({ duration_seconds }) => (duration_seconds === null ? '–' : duration(duration_seconds)),
  },
  {
    id: 'bytes',
    header: 'Transferred',
    align: 'end',
    wide: true,
    cell: ({ bytes_transferred }) => bytes(bytes_transferred),
  },
  { id: 'by', header: 'By', wide: true, cell: ({ triggered_by, execution_type }) => triggered_by ?? execution_type },
  { id: 'error', header: 'What went wrong', wide: true, cell: ({ error_message }) => error_message ?? '' },
]

const Flow = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const page = usePage()
  const at = `/protection-flows/${encodeURIComponent(id)}`
  const query = useFlow(id)
  const runs = useQuery({
    queryKey: ['flow', id, 'runs', page],
    queryFn: ({ signal }) =>
      get<FlowRuns>(withQuery(`${at}/executions`, { limit: pageSize, offset: (page - 1) * pageSize }), signal),
  })
  const check = useQuery({
    queryKey: ['flow', id, 'check'],
    queryFn: () => call<{ valid: boolean; errors: string[] }>('POST', `${at}/test`, {}),
    enabled: useMay('operator'),
  })
  const refresh = useRefresh()
  const mayRun = useMay('operator')
  const run = () =>
    void call('POST', `${at}/execute`, {}).then(
      () => refresh('flow', 'flows', 'backups').then(() => sayDone('The flow runs')),
      sayProblem,
    )
  return (
    <Page
      title={query.data?.name ?? 'Protection flow'}
      text={query.data?.description}
      actions={
        <Button
          leftSection={<IconPlayerPlay size={16} aria-hidden />}
          disabled={!mayRun || !query.data?.enabled}
          onClick={run}
        >
          Run now
        </Button>
      }
    >
      <Loaded query={query}>
        {(flow) => (
          <>
            {check.data && !check.data.valid && (
              <Alert color="orange" title="It can not run as it is" variant="light">
                <List size="sm">
                  {check.data.errors.map((text) => (
                    <List.Item key={text}>{text}</List.Item>
                  ))}
                </List>
              </Alert>
            )}
            <Facts
              facts={[
                ['State', <StatusBadge key="s" status={flow.enabled ? 'enabled' : 'disabled'} />],
                [
                  'Protects',
                  <Link
                    key="t"
                    to={flow.target_type === 'vm' ? '/vms/$id' : '/groups/$id'}
                    params={{ id: flow.target_id }}
                    style={{ color: 'inherit' }}
                  >
                    {flow.target_name ?? 'gone'}
                  </Link>,
                ],
                ['Repository', flow.repository_name ?? '–'],
                ['Policy', flow.policy_name ?? 'None, all is kept'],
                ['Schedule', flow.schedule_name ?? 'None, by hand alone'],
                ['Next run', <Moment key="n" at={flow.next_execution} />],
                ['Last run', <Moment key="l" at={flow.last_execution} relative />],
                ['Runs', `${flow.status.successful_executions} of ${flow.status.total_executions} without a failure`],
              ]}
            />
            <Panel title="Runs">
              <Loaded query={runs}>
                {({ executions, total }) => (
                  <>
                    <DataTable
                      label="Runs"
                      rows={executions}
                      columns={columns}
                      rowId={(row) => row.id}
                      search={false}
                      maxHeight="none"
                      empty={<Empty title="It has not run yet" text="Choose Run now, or wait for its schedule." />}
                    />
                    <Pages total={total} pageSize={pageSize} noun="runs" />
                  </>
                )}
              </Loaded>
            </Panel>
          </>
        )}
      </Loaded>
    </Page>
  )
}
export default Flow
