/** What is protected, where, when and by which policy. */
import { Button } from '@mantine/core'
import { IconPlayerPause, IconPlayerPlay, IconShieldCheck } from '@tabler/icons-react'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useFlows, useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Flow } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { count } from '../lib/format.ts'
import { FlowDialog } from '../protection/FlowDialog.tsx'

const columns: Column<Flow>[] = [
  {
    id: 'name',
    header: 'Name',
    value: ({ name }) => name,
    cell: ({ id, name }) => (
      <NameLink to="/flows/$id" params={{ id }}>
        {name}
      </NameLink>
    ),
  },
  {
    id: 'target',
    header: 'Protects',
    value: ({ target_name }) => target_name,
    cell: ({ target_name }) => <Name>{target_name ?? 'gone'}</Name>,
  },
  {
    id: 'enabled',
    header: 'State',
    value: ({ enabled }) => enabled,
    cell: ({ enabled }) => <StatusBadge status={enabled ? 'enabled' : 'disabled'} />,
  },
  {
    id: 'last',
    header: 'Last run',
    value: ({ last_execution }) => last_execution,
    cell: ({ status, last_execution }) =>
      last_execution === null ? (
        '–'
      ) : (
        <span style={{ display: 'inline-flex', gap: 6, alignItems: 'center' }}>
          <StatusBadge status={status.last_execution_status} />
          <Moment at={last_execution} relative />
        </span>
      ),
  },
  {
    id: 'next',
    header: 'Next run',
    wide: true,
    value: ({ next_execution }) => next_execution,
    cell: ({ next_execution }) => <Moment at={next_execution} />,
  },
  {
    id: 'repository',
    header: 'Repository',
    wide: true,
    value: ({ repository_name }) => repository_name,
    cell: ({ repository_name }) => <Name>{repository_name ?? '–'}</Name>,
  },
  {
    id: 'policy',
    header: 'Policy',
    wide: true,
    value: ({ policy_name }) => policy_name,
    cell: ({ policy_name }) => <Name>{policy_name ?? 'keeps all'}</Name>,
  },
]

const Flows = () => {
  const query = useFlows()
  const refresh = useRefresh()
  const mayRun = useMay('operator')
  const [picked, setPicked] = useState<Set<string>>(new Set())
  const again = () => refresh('flows', 'summary', 'backups')
  const attempt = (work: Promise<unknown>, done: string) =>
    void work.then(() => again().then(() => sayDone(done)), sayProblem)
  const many = (action: 'execute' | 'enable' | 'disable', done: string) =>
    attempt(
      call('POST', `/protection-flows/bulk-${action}`, { flow_ids: [...picked] }).then(() => setPicked(new Set())),
      `${count(picked.size)} ${done}`,
    )
  return (
    <ResourcePage
      title="Protection flows"
      text="What is backed up, where to, when, and by which policy."
      noun="protection flow"
      icon={IconShieldCheck}
      emptyText="A flow backs up a machine or a group by itself. Without one, machines are backed up only by hand."
      needs="operator"
      query={query}
      columns={columns}
      rowId={({ id }) => id}
      nameOf={({ name }) => name}
      selection={{ ids: picked, onChange: setPicked }}
      extra={
        picked.size > 0 && (
          <>
            <Button variant="default" disabled={!mayRun} onClick={() => many('execute', 'flows run')}>
              Run {count(picked.size)} now
            </Button>
            <Button variant="default" disabled={!mayRun} onClick={() => many('enable', 'flows enabled')}>
              Enable
            </Button>
            <Button variant="default" disabled={!mayRun} onClick={() => many('disable', 'flows disabled')}>
              Disable
            </Button>
          </>
        )
      }
      dialog={(flow, close) => <FlowDialog key={flow?.id} flow={flow} onClose={close} />}
      actions={(flow, mayChange) => [
        {
          label: 'Run now',
          icon: IconPlayerPlay,
          disabled: !mayChange || !flow.enabled,
          onClick: () => attempt(call('POST', `/protection-flows/${flow.id}/execute`, {}), `${flow.name} runs`),
        },
        {
          label: flow.enabled ? 'Disable' : 'Enable',
          icon: flow.enabled ? IconPlayerPause : IconPlayerPlay,
          disabled: !mayChange,
          onClick: () =>
            attempt(
              call('PATCH', `/protection-flows/${flow.id}/${flow.enabled ? 'disable' : 'enable'}`),
              `${flow.name} is ${flow.enabled ? 'disabled' : 'enabled'}`,
            ),
        },
      ]}
      remove={{
        text: 'Its history goes with it. Restore points stay, and are kept as their policy says.',
        run: async ({ id }) => {
          await call('DELETE', `/protection-flows/${id}`)
          await refresh('summary', 'vms')
        },
      }}
    />
  )
}
export default Flows
