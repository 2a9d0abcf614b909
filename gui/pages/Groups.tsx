import { IconStack2 } from '@tabler/icons-react'
import { call } from '../api/client.ts'
import { options, useGroups, useRefresh, useSchedules } from '../api/queries.ts'
import type { Group } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'

const GroupDialog = ({ group, onClose }: { group: Group | null; onClose: () => void }) => {
  const schedules = useSchedules()
  const refresh = useRefresh()
  return (
    <FormDialog
      title={group ? `Edit ${group.name}` : 'New machine group'}
      action={group ? 'Save' : 'Create'}
      fields={[
        { name: 'name', label: 'Name', required: true },
        { name: 'description', label: 'Description', kind: 'textarea' },
        {
          name: 'max_concurrent_vms',
          label: 'Machines at once, at most',
          kind: 'number',
          min: 1,
          max: 100,
          description: 'How many of the group are backed up at the same time.',
        },
        {
          name: 'priority',
          label: 'Priority',
          kind: 'number',
          min: 0,
          max: 100,
          description: 'Of several groups that are due at once, the lower runs first.',
        },
        {
          name: 'schedule_id',
          label: 'Schedule',
          kind: 'select',
          options: options(schedules.data),
          description: 'Only for what is bound to the group itself; flows have schedules of their own.',
        },
      ]}
      initial={
        group
          ? {
              name: group.name,
              description: group.description ?? '',
              max_concurrent_vms: group.max_concurrent_vms,
              priority: group.priority,
              schedule_id: group.schedule_id,
            }
          : { name: '', description: '', max_concurrent_vms: 5, priority: 0, schedule_id: null }
      }
      submit={async (values) => {
        const body = { ...values, description: values.description || null }
        if (group) await call('PUT', `/machine-groups/${group.id}`, body)
        else await call('POST', '/machine-groups', body)
        await refresh('groups', 'flows', 'vms')
        return group ? 'Saved' : `The group ${values.name} is there`
      }}
      onClose={onClose}
    />
  )
}

const columns: Column<Group>[] = [
  {
    id: 'name',
    header: 'Name',
    value: ({ name }) => name,
    cell: ({ id, name }) => (
      <NameLink to="/groups/$id" params={{ id }}>
        {name}
      </NameLink>
    ),
  },
  { id: 'vms', header: 'Machines', align: 'end', value: ({ total_vms }) => total_vms },
  { id: 'running', header: 'Running', align: 'end', value: ({ active_jobs }) => active_jobs },
  { id: 'at_once', header: 'At once', align: 'end', wide: true, value: ({ max_concurrent_vms }) => max_concurrent_vms },
  {
    id: 'last',
    header: 'Last run',
    wide: true,
    value: ({ last_execution }) => last_execution,
    cell: ({ last_execution }) => <Moment at={last_execution} relative />,
  },
  {
    id: 'description',
    header: 'Description',
    wide: true,
    value: ({ description }) => description,
    cell: ({ description }) => <Name>{description ?? ''}</Name>,
  },
]

const Groups = () => {
  const refresh = useRefresh()
  return (
    <ResourcePage
      title="Machine groups"
      text="Virtual machines that are protected together."
      noun="machine group"
      icon={IconStack2}
      emptyText="Put machines that belong together into a group: one flow then protects them all."
      needs="operator"
      query={useGroups()}
      columns={columns}
      rowId={({ id }) => id}
      nameOf={({ name }) => name}
      dialog={(group, close) => <GroupDialog key={group?.id} group={group} onClose={close} />}
      remove={{
        text: 'Its machines stay; they are just in this group no more. Flows that protect the group must be changed first.',
        run: async ({ id }) => {
          await call('DELETE', `/machine-groups/${id}`)
          await refresh('flows', 'vms')
        },
      }}
    />
  )
}
export default Groups
