/** One schedule: its next ten runs and what became of the last. */
import { List, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { Cron } from 'croner'
import { useMemo } from 'react'
import { get, withQuery } from '../api/client.ts'
import type { ScheduleRuns, Schedule as ScheduleType } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Page } from '../components/Page.tsx'
import { Pages, usePage } from '../components/Pages.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { duration } from '../lib/format.ts'
import { rhythm } from '../protection/in-words.ts'

const shownRuns = 10
const pageSize = 20
type Run = ScheduleRuns['executions'][number]

const columns: Column<Run>[] = [
  { id: 'scheduled_at', header: 'Due', cell: ({ scheduled_at }) => <Moment at={scheduled_at} /> },
  { id: 'status', header: 'Status', cell: ({ status }) => <StatusBadge status={status} /> },
  {
    id: 'duration',
    header: 'Duration',
    align: 'end',
    wide: true,
    cell: ({ duration_seconds }) => (duration_seconds === null ? '–' : duration(duration_seconds)),
  },
  {
    id: 'jobs',
    header: 'Backups',
    align: 'end',
    cell: ({ jobs_successful, jobs_created }) => `${jobs_successful} of ${jobs_created}`,
  },
  { id: 'by', header: 'By', wide: true, cell: ({ execution_type, triggered_by }) => triggered_by ?? execution_type },
  { id: 'error', header: 'What went wrong', wide: true, cell: ({ error_message }) => error_message ?? '' },
]

/** The same library that the hub runs them by. */
const nextRuns = ({ cron_expression, timezone }: ScheduleType): string[] => {
  try {
    return new Cron(cron_expression, { timezone, paused: true }).nextRuns(shownRuns).map((at) => at.toISOString())
  } catch {
    return []
  }
}

const NextRuns = ({ schedule }: { schedule: ScheduleType }) => {
  const runs = useMemo(() => nextRuns(schedule), [schedule])
  if (!schedule.enabled) return <Text c="dimmed">It is disabled and does not run by itself.</Text>
  if (schedule.schedule_type === 'chain') return <Text c="dimmed">It runs after another schedule.</Text>
  return (
    <List type="ordered">
      {runs.map((at) => (
        <List.Item key={at}>
          <Moment at={at} />
        </List.Item>
      ))}
    </List>
  )
}

const Schedule = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const page = usePage()
  const query = useQuery({
    queryKey: ['schedules', id],
    queryFn: ({ signal }) => get<ScheduleType>(`/schedules/${encodeURIComponent(id)}`, signal),
  })
  const runs = useQuery({
    queryKey: ['schedules', id, 'runs', page],
    queryFn: ({ signal }) =>
      get<ScheduleRuns>(
        withQuery(`/schedules/${encodeURIComponent(id)}/executions`, { limit: pageSize, page }),
        signal,
      ),
  })
  return (
    <Page title={query.data?.name ?? 'Schedule'} text={query.data && rhythm(query.data)}>
      <Loaded query={query}>
        {(schedule) => (
          <Stack>
            <Panel title="Next ten runs">
              <NextRuns schedule={schedule} />
            </Panel>
            <Panel title="History">
              <Loaded query={runs}>
                {({ executions, total }) => (
                  <>
                    <DataTable
                      label="Runs"
                      rows={executions}
                      columns={columns}
                      rowId={({ execution_id }) => execution_id}
                      search={false}
                      maxHeight="none"
                      empty={
                        <Empty
                          title="It has not run yet"
                          text="Its runs, and those that were left out, are shown here."
                        />
                      }
                    />
                    <Pages total={total} pageSize={pageSize} noun="runs" />
                  </>
                )}
              </Loaded>
            </Panel>
          </Stack>
        )}
      </Loaded>
    </Page>
  )
}
export default Schedule
