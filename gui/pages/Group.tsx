/** One group and its machines. */
import { Button } from '@mantine/core'
import { IconPlus, IconUserMinus } from '@tabler/icons-react'
import { useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useGroup, useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { GroupDetail } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Facts } from '../components/Facts.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { RowMenu } from '../components/RowMenu.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'

type Member = GroupDetail['memberships'][number]

const Group = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useGroup(id)
  const refresh = useRefresh()
  const mayChange = useMay('operator')
  const [isAdding, setAdding] = useState(false)
  const again = () => refresh('groups', 'vms', 'summary')
  const members = new Set(query.data?.memberships.map(({ vm_context_id }) => vm_context_id))
  const columns: Column<Member>[] = [
    {
      id: 'vm_name',
      header: 'Virtual machine',
      value: ({ vm_name }) => vm_name,
      cell: ({ vm_context_id, vm_name }) => (
        <NameLink to="/vms/$id" params={{ id: vm_context_id }}>
          {vm_name}
        </NameLink>
      ),
    },
    {
      id: 'enabled',
      header: 'State',
      value: ({ enabled }) => enabled,
      cell: ({ enabled }) => <StatusBadge status={enabled ? 'enabled' : 'disabled'} />,
    },
    { id: 'priority', header: 'Priority', align: 'end', value: ({ priority }) => priority },
    {
      id: 'added',
      header: 'Added',
      wide: true,
      value: ({ added_at }) => added_at,
      cell: ({ added_at }) => <Moment at={added_at} />,
    },
    {
      id: 'actions',
      header: '',
      narrow: true,
      cell: ({ vm_context_id, vm_name, enabled }) => (
        <RowMenu
          name={vm_name}
          actions={[
            {
              label: enabled ? 'Leave out' : 'Take in',
              icon: IconPlus,
              disabled: !mayChange,
              onClick: () =>
                void call('PUT', `/machine-groups/${id}/vms/${encodeURIComponent(vm_context_id)}`, {
                  enabled: !enabled,
                }).then(() => again().then(() => sayDone('Saved')), sayProblem),
            },
            {
              label: 'Remove from the group',
              icon: IconUserMinus,
              isDangerous: true,
              disabled: !mayChange,
              onClick: () =>
                confirm({
                  title: `Remove ${vm_name} from the group?`,
                  text: 'The machine and its restore points stay.',
                  action: 'Remove',
                  work: async () => {
                    await call('DELETE', `/machine-groups/${id}/vms/${encodeURIComponent(vm_context_id)}`)
                    await again()
                    return `${vm_name} is out of the group`
                  },
                }),
            },
          ]}
        />
      ),
    },
  ]
  const add = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} disabled={!mayChange} onClick={() => setAdding(true)}>
      Add machines
    </Button>
  )
  return (
    <Page title={query.data?.name ?? 'Machine group'} text={query.data?.description} actions={add}>
      <Loaded query={query}>
        {(group) => (
          <>
            <Facts
              facts={[
                ['Machines', `${group.total_vms}, ${group.enabled_vms} of them enabled`],
                ['At once', group.max_concurrent_vms],
                ['Priority', group.priority],
                ['Last run', <Moment key="l" at={group.last_execution} relative />],
              ]}
            />
            <DataTable
              label="Machines"
              rows={group.memberships}
              columns={columns}
              rowId={({ vm_context_id }) => vm_context_id}
              sort="priority"
              empty={
                <Empty title="No machine is in this group" text="Add those that are to be protected together.">
                  {add}
                </Empty>
              }
            />
          </>
        )}
      </Loaded>
      {isAdding && (
        <FormDialog
          title="Add machines"
          action="Add"
          fields={[
            {
              name: 'vm_context_ids',
              label: 'Virtual machines',
              kind: 'vms',
              without: members,
            },
            {
              name: 'priority',
              label: 'Priority',
              kind: 'number',
              min: 0,
              description: 'The lower is backed up first.',
            },
          ]}
          initial={{ vm_context_ids: [], priority: 0 }}
          submit={async (values) => {
            const { message } = await call<{ message: string }>('POST', `/machine-groups/${id}/vms/bulk`, values)
            await again()
            return message
          }}
          onClose={() => setAdding(false)}
        />
      )}
    </Page>
  )
}
export default Group
