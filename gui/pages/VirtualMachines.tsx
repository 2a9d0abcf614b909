/** All managed VMs: how they stand, and what can be done for them. Searched, sorted and paged by the hub. */
import { Button, Group, Select, Text } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconDeviceDesktop, IconFolderOpen, IconPlayerPlay, IconPlus } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useVms } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { VmRow } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Pages, usePage } from '../components/Pages.tsx'
import { RowMenu } from '../components/RowMenu.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { bytes, count, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { BackupDialog } from '../vms/BackupDialog.tsx'
import { DiscoveryDialog } from '../vms/DiscoveryDialog.tsx'

const pageSize = 100

const powerWords = { poweredOn: 'On', poweredOff: 'Off', suspended: 'Suspended' }

const columnsOf = (mayRun: boolean, backUp: (vm: VmRow) => void, restore: (vm: VmRow) => void): Column<VmRow>[] => [
  {
    id: 'vm_name',
    header: 'Name',
    value: ({ vm_name }) => vm_name,
    cell: ({ vm_name, context_id }) => (
      <NameLink to="/vms/$id" params={{ id: context_id }}>
        {vm_name}
      </NameLink>
    ),
  },
  {
    id: 'protection',
    header: 'Protection',
    cell: ({ is_protected }) => <StatusBadge status={is_protected ? 'protected' : 'unprotected'} />,
  },
  {
    id: 'last_backup',
    header: 'Last backup',
    cell: ({ last_backup }) =>
      last_backup === null ? (
        <Text size="sm" c="dimmed">
          Never
        </Text>
      ) : (
        <Group gap={6} wrap="nowrap">
          <StatusBadge status={last_backup.status} />
          {last_backup.completed_at && <Moment at={last_backup.completed_at} relative />}
        </Group>
      ),
  },
  { id: 'next_run', header: 'Next run', wide: true, cell: ({ next_run }) => <Moment at={next_run} relative /> },
  {
    id: 'power',
    header: 'Power',
    wide: true,
    cell: ({ power_state }) => (power_state === null ? '–' : powerWords[power_state]),
  },
  {
    id: 'cpu_count',
    header: 'CPUs',
    align: 'end',
    wide: true,
    value: ({ cpu_count }) => cpu_count,
    cell: ({ cpu_count }) => cpu_count ?? '–',
  },
  {
    id: 'memory_mb',
    header: 'Memory',
    align: 'end',
    wide: true,
    value: ({ memory_mb }) => memory_mb,
    cell: ({ memory_mb }) => (memory_mb === null ? '–' : bytes(memory_mb * 2 ** 20)),
  },
  { id: 'disks', header: 'Disks', align: 'end', wide: true, cell: ({ disk_count }) => count(disk_count) },
  {
    id: 'groups',
    header: 'Groups',
    wide: true,
    cell: ({ groups }) =>
      groups.length === 0 ? '–' : <Name>{groups.map(({ group_name }) => group_name).join(', ')}</Name>,
  },
  {
    id: 'actions',
    header: '',
    narrow: true,
    cell: (vm) => (
      <RowMenu
        name={vm.vm_name}
        actions={[
          { label: 'Back up now', icon: IconPlayerPlay, disabled: !mayRun, onClick: () => backUp(vm) },
          { label: 'Restore files', icon: IconFolderOpen, onClick: () => restore(vm) },
        ]}
      />
    ),
  },
]

const VirtualMachines = () => {
  const [url, setUrl] = useUrlState()
  const navigate = useNavigate()
  const restore = ({ context_id }: VmRow) => void navigate({ to: '/restore', search: { vm: context_id } as never })
  const mayRun = useMay('operator')
  const [backingUp, setBackingUp] = useState<VmRow | null>(null)
  const [search] = useDebouncedValue(url.q ?? '', 250)
  const page = usePage()
  const sort = url.sort ?? 'vm_name'
  const query = useVms({
    search,
    status: url.status,
    protected: url.protected,
    sort,
    limit: pageSize,
    offset: (page - 1) * pageSize,
  })
  const isFiltered = Boolean(url.q || url.status || url.protected)
  const discover = (
    <Button
      leftSection={<IconPlus size={16} aria-hidden />}
      disabled={!mayRun}
      onClick={() => setUrl({ discover: '1' })}
    >
      Add virtual machines
    </Button>
  )
  return (
    <Page title="Virtual machines" text="What the hub looks after." actions={discover}>
      <Loaded query={query}>
        {({ vm_contexts, total }) => (
          <>
            <DataTable
              label="Virtual machines"
              rows={vm_contexts}
              columns={columnsOf(mayRun, setBackingUp, restore)}
              rowId={({ context_id }) => context_id}
              sorted={sort}
              onSort={(next) => setUrl({ sort: next, page: '' })}
              empty={
                isFiltered ? (
                  <Empty title="No virtual machine fits" text="Change the search or the filters above." />
                ) : (
                  <Empty
                    icon={IconDeviceDesktop}
                    title="No virtual machines yet"
                    text="Find those of a vCenter or of a source beside the hub, and pick which to protect."
                  >
                    {discover}
                  </Empty>
                )
              }
              filters={
                isFiltered || total > 0 ? (
                  <>
                    <Select
                      aria-label="Protection"
                      placeholder="Any protection"
                      data={[
                        { value: 'true', label: 'Protected' },
                        { value: 'false', label: 'Unprotected' },
                      ]}
                      value={url.protected ?? null}
                      onChange={(value) => setUrl({ protected: value ?? '', page: '' })}
                      clearable
                      w={170}
                    />
                    <Select
                      aria-label="State"
                      placeholder="Any state"
                      data={['discovered', 'ready', 'failed', 'completed'].map((value) => ({
                        value,
                        label: words(value),
                      }))}
                      value={url.status ?? null}
                      onChange={(value) => setUrl({ status: value ?? '', page: '' })}
                      clearable
                      w={150}
                    />
                  </>
                ) : undefined
              }
            />
            <Pages total={total} pageSize={pageSize} noun="virtual machines" />
          </>
        )}
      </Loaded>
      {backingUp && (
        <BackupDialog contextId={backingUp.context_id} vmName={backingUp.vm_name} onClose={() => setBackingUp(null)} />
      )}
      {url.discover !== undefined && <DiscoveryDialog onClose={() => setUrl({ discover: '' })} />}
    </Page>
  )
}
export default VirtualMachines
