import { call } from '../api/client.ts'
import { options, useGroups, usePolicies, useRefresh, useRepositories, useSchedules } from '../api/queries.ts'
import type { Flow } from '../api/types.ts'
import { type Field, FormDialog } from '../components/FormDialog.tsx'

export const FlowDialog = ({ flow, onClose }: { flow: Flow | null; onClose: () => void }) => {
  const [groups, repositories, policies, schedules] = [useGroups(), useRepositories(), usePolicies(), useSchedules()]
  const refresh = useRefresh()
  const target: Field[] = flow
    ? []
    : [
        {
          name: 'target_type',
          label: 'Protects',
          kind: 'select',
          required: true,
          options: [
            { value: 'vm', label: 'One virtual machine' },
            { value: 'group', label: 'A machine group' },
          ],
        },
        {
          name: 'vm',
          label: 'Virtual machine',
          kind: 'vm',
          required: true,
          when: ({ target_type }) => target_type === 'vm',
        },
        {
          name: 'group',
          label: 'Machine group',
          kind: 'select',
          required: true,
          options: options(groups.data),
          when: ({ target_type }) => target_type === 'group',
        },
      ]
  const fields: Field[] = [
    { name: 'name', label: 'Name', required: true },
    ...target,
    {
      name: 'repository_id',
      label: 'Repository',
      kind: 'select',
      required: true,
      options: options(repositories.data?.filter(({ enabled }) => enabled)),
    },
    {
      name: 'schedule_id',
      label: 'Schedule',
      kind: 'select',
      options: options(schedules.data),
      description: 'Without one it runs only when somebody says so.',
    },
    {
      name: 'policy_id',
      label: 'Policy',
      kind: 'select',
      options: options(policies.data),
      description: 'How long restore points are kept, and where copies go. Without one they are kept.',
    },
    { name: 'description', label: 'Description', kind: 'textarea' },
    { name: 'enabled', label: 'Enabled', kind: 'switch' },
  ]
  return (
    <FormDialog
      // What is filled in beforehand is known only then.
      key={String(repositories.isSuccess)}
      title={flow ? `Edit ${flow.name}` : 'New protection flow'}
      action={flow ? 'Save' : 'Create'}
      fields={fields}
      initial={
        flow
          ? {
              name: flow.name,
              repository_id: flow.repository_id,
              schedule_id: flow.schedule_id,
              policy_id: flow.policy_id,
              description: flow.description ?? '',
              enabled: flow.enabled,
            }
          : {
              name: '',
              target_type: (groups.data?.length ?? 0) > 0 ? 'group' : 'vm',
              vm: null,
              group: null,
              repository_id: repositories.data?.find(({ enabled }) => enabled)?.id ?? null,
              schedule_id: null,
              policy_id: null,
              description: '',
              enabled: true,
            }
      }
      submit={async ({ vm, group, description, ...values }) => {
        const body = { ...values, description: description || null }
        if (flow) await call('PUT', `/protection-flows/${flow.id}`, body)
        else
          await call('POST', '/protection-flows', {
            ...body,
            flow_type: 'backup',
            target_id: values.target_type === 'vm' ? vm : group,
          })
        await refresh('flows', 'flow', 'vms', 'summary')
        return flow ? 'Saved' : `The flow ${values.name} is there`
      }}
      onClose={onClose}
    />
  )
}
