/** When flows run. */
import { Text } from '@mantine/core'
import { IconCalendarClock, IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react'
import { call } from '../api/client.ts'
import { useRefresh, useSchedules } from '../api/queries.ts'
import type { Schedule } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { rhythm } from '../protection/in-words.ts'
import { ScheduleDialog } from '../protection/ScheduleDialog.tsx'

const Schedules = () => {
  const query = useSchedules()
  const refresh = useRefresh()
  const again = () => refresh('schedules', 'flows')
  const nameOf = (id: string | null) => query.data?.find((row) => row.id === id)?.name
  const attempt = (work: Promise<unknown>, done: string) =>
    void work.then(() => again().then(() => sayDone(done)), sayProblem)
  const columns: Column<Schedule>[] = [
    {
      id: 'name',
      header: 'Name',
      value: ({ name }) => name,
      cell: ({ id, name }) => (
        <NameLink to="/schedules/$id" params={{ id }}>
          {name}
        </NameLink>
      ),
    },
    {
      id: 'rhythm',
      header: 'Runs',
      value: (row) => rhythm(row, nameOf(row.chain_parent_schedule_id)),
      cell: (row) => <Text size="sm">{rhythm(row, nameOf(row.chain_parent_schedule_id))}</Text>,
    },
    {
      id: 'enabled',
      header: 'State',
      value: ({ enabled }) => enabled,
      cell: ({ enabled }) => <StatusBadge status={enabled ? 'enabled' : 'disabled'} />,
    },
    {
      id: 'next',
      header: 'Next run',
      value: ({ next_execution }) => next_execution,
      cell: ({ next_execution }) => <Moment at={next_execution} />,
    },
    {
      id: 'last',
      header: 'Last run',
      wide: true,
      value: ({ last_execution }) => last_execution,
      cell: ({ last_execution }) => <Moment at={last_execution} relative />,
    },
  ]
  return (
    <ResourcePage
      title="Schedules"
      text="When protection flows run, in any time zone."
      noun="schedule"
      icon={IconCalendarClock}
      emptyText="A schedule says when the flows that use it run, each night say."
      needs="operator"
      query={query}
      columns={columns}
      rowId={({ id }) => id}
      nameOf={({ name }) => name}
      dialog={(schedule, close) => <ScheduleDialog key={schedule?.id} schedule={schedule} onClose={close} />}
      actions={({ id, name, enabled }, mayChange) => [
        {
          label: 'Run now',
          icon: IconPlayerPlay,
          disabled: !mayChange || !enabled,
          onClick: () => attempt(call('POST', `/schedules/${id}/trigger`, {}), `${name} runs`),
        },
        {
          label: enabled ? 'Disable' : 'Enable',
          icon: enabled ? IconPlayerPause : IconPlayerPlay,
          disabled: !mayChange,
          onClick: () =>
            attempt(
              call('POST', `/schedules/${id}/enable`, { enabled: !enabled }),
              `${name} is ${enabled ? 'disabled' : 'enabled'}`,
            ),
        },
      ]}
      remove={{
        text: 'Its history goes with it. Flows and groups that use it must be given another one first.',
        run: async ({ id }) => {
          await call('DELETE', `/schedules/${id}`)
          await again()
        },
      }}
    />
  )
}
export default Schedules
