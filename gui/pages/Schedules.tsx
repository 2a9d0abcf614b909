/** When flows run. */
import { Button, Text } from '@mantine/core'
import {
  IconCalendarClock,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlus,
  IconTrash,
} from '@tabler/icons-react'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useRefresh, useSchedules } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Schedule } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { RowMenu } from '../components/RowMenu.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { rhythm } from '../protection/in-words.ts'
import { ScheduleDialog } from '../protection/ScheduleDialog.tsx'

const Schedules = () => {
  const query = useSchedules()
  const refresh = useRefresh()
  const mayChange = useMay('operator')
  const [edited, setEdited] = useState<Schedule | 'new' | null>(null)
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
    {
      id: 'actions',
      header: '',
      narrow: true,
      cell: (row) => (
        <RowMenu
          name={row.name}
          actions={[
            {
              label: 'Run now',
              icon: IconPlayerPlay,
              disabled: !mayChange || !row.enabled,
              onClick: () => attempt(call('POST', `/schedules/${row.id}/trigger`, {}), `${row.name} runs`),
            },
            {
              label: row.enabled ? 'Disable' : 'Enable',
              icon: row.enabled ? IconPlayerPause : IconPlayerPlay,
              disabled: !mayChange,
              onClick: () =>
                attempt(
                  call('POST', `/schedules/${row.id}/enable`, { enabled: !row.enabled }),
                  `${row.name} is ${row.enabled ? 'disabled' : 'enabled'}`,
                ),
            },
            { label: 'Edit', icon: IconPencil, disabled: !mayChange, onClick: () => setEdited(row) },
            {
              label: 'Delete',
              icon: IconTrash,
              isDangerous: true,
              disabled: !mayChange,
              onClick: () =>
                confirm({
                  title: `Delete the schedule ${row.name}?`,
                  text: 'Its history goes with it. Flows and groups that use it must be given another one first.',
                  action: 'Delete',
                  work: async () => {
                    await call('DELETE', `/schedules/${row.id}`)
                    await again()
                    return `${row.name} is deleted`
                  },
                }),
            },
          ]}
        />
      ),
    },
  ]
  const add = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} disabled={!mayChange} onClick={() => setEdited('new')}>
      New schedule
    </Button>
  )
  return (
    <Page title="Schedules" text="When protection flows run, in any time zone." actions={add}>
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            label="Schedules"
            rows={rows}
            columns={columns}
            rowId={({ id }) => id}
            sort="name"
            empty={
              <Empty
                icon={IconCalendarClock}
                title="No schedule yet"
                text="A schedule says when the flows that use it run, each night say."
              >
                {add}
              </Empty>
            }
          />
        )}
      </Loaded>
      {edited && <ScheduleDialog schedule={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />}
    </Page>
  )
}
export default Schedules
