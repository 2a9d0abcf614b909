/** Where files come back from: what is open, and the way from a VM to one of its points. */
import { Button, Group, SimpleGrid, Stack, Text, UnstyledButton } from '@mantine/core'
import { IconChevronLeft, IconChevronRight, IconFolderOpen } from '@tabler/icons-react'
import { useState } from 'react'
import { useBackups, useMounts, useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Backup, Mount } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { VmSelect } from '../components/VmSelect.tsx'
import { bytes, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { Countdown } from '../restore/Countdown.tsx'
import { closeMount } from '../restore/close-mount.ts'
import { RestoreButton } from '../restore/RestoreButton.tsx'

const dayOf = (iso: string) => new Date(iso).toLocaleDateString('sv')
const monthOf = (day: string) => day.slice(0, 7)

/** The days of a month, those with restore points marked. */
const MonthOfPoints = ({
  days,
  month,
  day,
  onMonth,
  onDay,
}: {
  days: ReadonlyMap<string, number>
  month: string
  day: string | undefined
  onMonth: (month: string) => void
  onDay: (day: string) => void
}) => {
  const [year, number] = month.split('-').map(Number) as [number, number]
  const first = new Date(year, number - 1, 1)
  const lead = (first.getDay() + 6) % 7
  const length = new Date(year, number, 0).getDate()
  const go = (by: number) => onMonth(new Date(year, number - 1 + by, 1).toLocaleDateString('sv').slice(0, 7))
  const weekdays = Array.from({ length: 7 }, (_, at) =>
    new Date(2024, 0, 1 + at).toLocaleDateString(undefined, { weekday: 'short' }),
  )
  return (
    <Stack gap="xs" maw={360}>
      <Group justify="space-between">
        <Button variant="subtle" size="compact-sm" aria-label="Earlier month" onClick={() => go(-1)}>
          <IconChevronLeft size={18} aria-hidden />
        </Button>
        <Text fw={600} aria-live="polite">
          {first.toLocaleDateString(undefined, { month: 'long', year: 'numeric' })}
        </Text>
        <Button variant="subtle" size="compact-sm" aria-label="Later month" onClick={() => go(1)}>
          <IconChevronRight size={18} aria-hidden />
        </Button>
      </Group>
      <SimpleGrid cols={7} spacing={2} verticalSpacing={2}>
        {weekdays.map((name) => (
          <Text key={name} size="xs" c="dimmed" ta="center">
            {name}
          </Text>
        ))}
        {Array.from({ length: lead }, (_, at) => (
          <span key={`lead-${at}`} />
        ))}
        {Array.from({ length }, (_, at) => {
          const name = `${month}-${String(at + 1).padStart(2, '0')}`
          const points = days.get(name) ?? 0
          return (
            <UnstyledButton
              key={name}
              disabled={points === 0}
              onClick={() => onDay(name)}
              aria-pressed={day === name}
              aria-label={`${new Date(year, number - 1, at + 1).toLocaleDateString(undefined, { dateStyle: 'long' })}, ${points} restore points`}
              ta="center"
              py={6}
              style={{
                borderRadius: 'var(--mantine-radius-sm)',
                background:
                  day === name
                    ? 'var(--mantine-color-teal-7)'
                    : points > 0
                      ? 'var(--mantine-color-default-hover)'
                      : undefined,
                color: day === name ? '#fff' : points > 0 ? undefined : 'var(--mantine-color-dimmed)',
                fontWeight: points > 0 ? 700 : 400,
                cursor: points > 0 ? 'pointer' : 'default',
              }}
            >
              {at + 1}
            </UnstyledButton>
          )
        })}
      </SimpleGrid>
    </Stack>
  )
}

const PointsOfDay = ({ points }: { points: Backup[] }) => (
  <Stack gap="xs" style={{ flex: '1 1 16rem', minWidth: 0 }}>
    {points.map((point) => (
      <Group key={point.backup_id} justify="space-between" gap="xs">
        <div>
          <Text fw={600}>
            <Moment at={point.completed_at ?? point.created_at} />
          </Text>
          <Text size="sm" c="dimmed">
            {words(point.backup_type)} · {bytes(point.bytes_transferred)} · {point.repository_name}
          </Text>
        </div>
        <Group gap="sm" wrap="nowrap">
          <StatusBadge status={point.verify_state} />
          <RestoreButton backup={point} />
        </Group>
      </Group>
    ))}
  </Stack>
)

const PickPoint = () => {
  const [url, setUrl] = useUrlState()
  const query = useBackups({ vm_context_id: url.vm, status: 'completed', limit: 1000 }, url.vm !== undefined)
  return (
    <Panel title="Open a restore point">
      <Stack>
        <VmSelect
          label="Virtual machine"
          placeholder="Pick one"
          value={url.vm ?? null}
          onChange={(vm) => setUrl({ vm: vm ?? '', day: '', month: '' })}
          maw={420}
        />
        {url.vm === undefined ? (
          <Text c="dimmed" size="sm">
            Then a day and a point of that day. Files can be looked at as they were then.
          </Text>
        ) : (
          <Loaded query={query}>
            {({ backups }) => {
              if (backups.length === 0)
                return (
                  <Empty
                    title="No restore point"
                    text="This machine has not been backed up yet, or nothing of it is kept."
                  />
                )
              const at = ({ completed_at, created_at }: Backup) => dayOf(completed_at ?? created_at)
              const days = new Map<string, number>()
              for (const backup of backups) days.set(at(backup), (days.get(at(backup)) ?? 0) + 1)
              const day = url.day ?? at(backups[0]!)
              return (
                <Group align="flex-start" gap="xl">
                  <MonthOfPoints
                    days={days}
                    month={url.month ?? monthOf(day)}
                    day={day}
                    onMonth={(month) => setUrl({ month })}
                    onDay={(next) => setUrl({ day: next, month: '' })}
                  />
                  <PointsOfDay points={backups.filter((backup) => at(backup) === day)} />
                </Group>
              )
            }}
          </Loaded>
        )}
      </Stack>
    </Panel>
  )
}

const Restore = () => {
  const query = useMounts()
  const refresh = useRefresh()
  const mayClose = useMay('operator')
  const [closing, setClosing] = useState<string | null>(null)
  const columns: Column<Mount>[] = [
    {
      id: 'vm_name',
      header: 'Virtual machine',
      value: ({ vm_name }) => vm_name,
      cell: ({ mount_id, vm_name }) => (
        <NameLink to="/restore/$id" params={{ id: mount_id }}>
          {vm_name}
        </NameLink>
      ),
    },
    {
      id: 'disk',
      header: 'Disk',
      align: 'end',
      value: ({ disk_index, all_disks }) => (all_disks ? 'All' : disk_index),
    },
    {
      id: 'status',
      header: 'State',
      value: ({ status }) => status,
      cell: ({ status }) => <StatusBadge status={status} />,
    },
    { id: 'filesystem', header: 'Filesystem', wide: true, value: ({ filesystem_type }) => filesystem_type },
    {
      id: 'created_at',
      header: 'Opened',
      wide: true,
      value: ({ created_at }) => created_at,
      cell: ({ created_at }) => <Moment at={created_at} relative />,
    },
    { id: 'expires', header: 'Closes', cell: (mount) => <Countdown mount={mount} /> },
    {
      id: 'actions',
      header: '',
      narrow: true,
      cell: (mount) => (
        <Button
          size="xs"
          variant="default"
          loading={closing === mount.mount_id}
          disabled={!mayClose}
          onClick={() =>
            confirm({
              title: 'Close this mount?',
              text: 'Downloads that are under way end. The restore point itself stays as it is.',
              action: 'Close',
              work: async () => {
                setClosing(mount.mount_id)
                try {
                  return await closeMount(mount)
                } finally {
                  setClosing(null)
                  await refresh('mounts')
                }
              },
            })
          }
        >
          Close
        </Button>
      ),
    },
  ]
  return (
    <Page
      title="Restore"
      text="Mount a restore point read-only, look around in it, and take out single files or whole folders."
    >
      <PickPoint />
      <Panel title="Open mounts">
        <Loaded query={query}>
          {({ mounts }) => (
            <DataTable
              label="Open mounts"
              rows={mounts}
              columns={columns}
              rowId={({ mount_id }) => mount_id}
              search={false}
              maxHeight="none"
              empty={
                <Empty icon={IconFolderOpen} title="Nothing is open" text="Pick a machine and a restore point above." />
              }
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
export default Restore
