/** One VM: its disks, its restore points in their chains, and its history. */
import { Button, SimpleGrid, Stack, Table, Tabs } from '@mantine/core'
import { IconFolderOpen, IconPlayerPlay } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import { lazy, Suspense, useMemo, useState } from 'react'
import { isRunning, useLive } from '../api/live.ts'
import { useBackups, useVm, useVms } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Backup, VmDetail } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Facts as FactList } from '../components/Facts.tsx'
import { JobProgress } from '../components/JobProgress.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { bytes, duration, speed, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { BackupDialog } from '../vms/BackupDialog.tsx'
import { Chains } from '../vms/Chains.tsx'

const Chart = lazy(() => import('../components/Chart.tsx'))
const historyShown = 200

const seconds = ({ started_at, completed_at }: Backup) =>
  started_at && completed_at ? (Date.parse(completed_at) - Date.parse(started_at)) / 1000 : null

const historyColumns: Column<Backup>[] = [
  {
    id: 'created_at',
    header: 'Began',
    value: ({ created_at }) => created_at,
    cell: ({ backup_id, created_at }) => (
      <NameLink to="/jobs/$id" params={{ id: backup_id }}>
        {new Date(created_at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}
      </NameLink>
    ),
  },
  {
    id: 'type',
    header: 'Kind',
    value: ({ backup_type }) => backup_type,
    cell: ({ backup_type }) => words(backup_type),
  },
  {
    id: 'status',
    header: 'Status',
    value: ({ status }) => status,
    cell: ({ status }) => <StatusBadge status={status} />,
  },
  {
    id: 'duration',
    header: 'Duration',
    align: 'end',
    wide: true,
    value: (row) => seconds(row) ?? -1,
    cell: (row) => (seconds(row) === null ? '–' : duration(seconds(row)!)),
  },
  {
    id: 'bytes',
    header: 'Transferred',
    align: 'end',
    value: ({ bytes_transferred }) => bytes_transferred,
    cell: ({ bytes_transferred }) => bytes(bytes_transferred),
  },
  {
    id: 'repository',
    header: 'Repository',
    wide: true,
    value: ({ repository_name }) => repository_name,
    cell: ({ repository_name }) => <Name>{repository_name}</Name>,
  },
  {
    id: 'error',
    header: 'What went wrong',
    wide: true,
    value: ({ error_message }) => error_message,
    cell: ({ error_message }) => (error_message ? <Name>{error_message}</Name> : ''),
  },
]

const Charts = ({ backups }: { backups: Backup[] }) => {
  const done = useMemo(
    () => backups.filter((row) => row.status === 'completed' && (seconds(row) ?? 0) > 0).toReversed(),
    [backups],
  )
  const times = useMemo(() => done.map(({ completed_at }) => Date.parse(completed_at!) / 1000), [done])
  const durations = useMemo(() => done.map(seconds), [done])
  const speeds = useMemo(() => done.map((row) => row.bytes_transferred / seconds(row)!), [done])
  if (done.length < 2) return null
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Panel title="Duration">
        <Suspense fallback={null}>
          <Chart label="Duration of backups" times={times} values={durations} format={duration} />
        </Suspense>
      </Panel>
      <Panel title="Speed">
        <Suspense fallback={null}>
          <Chart label="Speed of backups" times={times} values={speeds} format={speed} />
        </Suspense>
      </Panel>
    </SimpleGrid>
  )
}

const History = ({ id }: { id: string }) => {
  const query = useBackups({ vm_context_id: id, limit: historyShown })
  return (
    <Loaded query={query}>
      {({ backups }) => (
        <Stack>
          <Charts backups={backups} />
          <DataTable
            label="History"
            rows={backups}
            columns={historyColumns}
            rowId={({ backup_id }) => backup_id}
            sort="-created_at"
            empty={<Empty title="No backup yet" text="What has run for this machine is shown here." />}
          />
        </Stack>
      )}
    </Loaded>
  )
}

const Disks = ({ disks }: Pick<VmDetail, 'disks'>) => (
  <Table.ScrollContainer minWidth={420}>
    <Table>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Disk</Table.Th>
          <Table.Th ta="end">Size</Table.Th>
          <Table.Th>Datastore</Table.Th>
          <Table.Th>Path</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {disks.map((disk) => (
          <Table.Tr key={disk.disk_id}>
            <Table.Td style={{ whiteSpace: 'nowrap' }}>
              {disk.disk_index} {disk.label && `(${disk.label})`}
            </Table.Td>
            <Table.Td ta="end" style={{ whiteSpace: 'nowrap' }}>
              {bytes(disk.capacity_bytes)}
            </Table.Td>
            <Table.Td>{disk.datastore ?? '–'}</Table.Td>
            <Table.Td style={{ overflowWrap: 'anywhere' }}>{disk.path || '–'}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  </Table.ScrollContainer>
)

const Facts = ({ context }: Pick<VmDetail, 'context'>) => {
  // The list knows what flows do for it.
  const row = useVms({ search: context.vm_name, limit: 200 }).data?.vm_contexts.find(
    ({ context_id }) => context_id === context.context_id,
  )
  const facts: [string, React.ReactNode][] = [
    ['Protection', row ? <StatusBadge key="p" status={row.is_protected ? 'protected' : 'unprotected'} /> : '–'],
    ['Next run', <Moment key="n" at={row?.next_run ?? null} relative />],
    ['Source', context.vcenter_host],
    ['CPUs', context.cpu_count ?? '–'],
    ['Memory', context.memory_mb === null ? '–' : bytes(context.memory_mb * 2 ** 20)],
    ['Guest', context.os_type ?? '–'],
    ['Datacenter', context.datacenter],
    ['Groups', context.groups.map(({ group_name }) => group_name).join(', ') || 'None'],
  ]
  return <FactList facts={facts} />
}

const VirtualMachine = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useVm(id)
  const mayRun = useMay('operator')
  const [isBackingUp, setBackingUp] = useState(false)
  const [url, setUrl] = useUrlState()
  const running = [...useLive().jobs.values()].find((job) => job.vm_context_id === id && isRunning(job))
  const name = query.data?.context.vm_name ?? 'Virtual machine'
  return (
    <Page
      title={name}
      actions={
        <>
          <Button
            variant="default"
            leftSection={<IconFolderOpen size={16} aria-hidden />}
            component={Link}
            to="/restore"
            {...({ search: { vm: id } } as object)}
          >
            Restore files
          </Button>
          <Button
            leftSection={<IconPlayerPlay size={16} aria-hidden />}
            disabled={!mayRun || !query.data}
            onClick={() => setBackingUp(true)}
          >
            Back up now
          </Button>
        </>
      }
    >
      <Loaded query={query}>
        {({ context, disks }) => (
          <Stack gap="lg">
            {running && (
              <Panel
                title="Backup under way"
                actions={
                  <Button
                    size="xs"
                    variant="default"
                    component={Link}
                    to={`/jobs/${encodeURIComponent(running.backup_id)}`}
                  >
                    Details
                  </Button>
                }
              >
                <JobProgress job={running} label={`Backup of ${context.vm_name}`} />
              </Panel>
            )}
            <Facts context={context} />
            <Tabs
              value={url.tab ?? 'points'}
              onChange={(tab) => setUrl({ tab: tab === 'points' ? '' : (tab ?? '') })}
              keepMounted={false}
            >
              <Tabs.List mb="md">
                <Tabs.Tab value="points">Restore points</Tabs.Tab>
                <Tabs.Tab value="history">History</Tabs.Tab>
                <Tabs.Tab value="disks">Disks ({disks.length})</Tabs.Tab>
              </Tabs.List>
              <Tabs.Panel value="points">
                <Chains contextId={id} />
              </Tabs.Panel>
              <Tabs.Panel value="history">
                <History id={id} />
              </Tabs.Panel>
              <Tabs.Panel value="disks">
                <Disks disks={disks} />
              </Tabs.Panel>
            </Tabs>
          </Stack>
        )}
      </Loaded>
      {isBackingUp && <BackupDialog contextId={id} vmName={name} onClose={() => setBackingUp(false)} />}
    </Page>
  )
}
export default VirtualMachine
