/** How the site stands, and what needs somebody first. */
import {
  Anchor,
  Box,
  Button,
  Group,
  Paper,
  Progress,
  SimpleGrid,
  Stack,
  Text,
  Tooltip,
  VisuallyHidden,
} from '@mantine/core'
import { IconCircleCheck, IconDeviceDesktop } from '@tabler/icons-react'
import { Link, type LinkProps } from '@tanstack/react-router'
import { lazy, Suspense, useMemo } from 'react'
import { runningJobs, useLive } from '../api/live.ts'
import { useMounts, useSummary } from '../api/queries.ts'
import type { Summary } from '../api/types.ts'
import { Empty } from '../components/Empty.tsx'
import { JobProgress } from '../components/JobProgress.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { bytes, count, duration, percent, speed } from '../lib/format.ts'
import { Countdown } from '../restore/Countdown.tsx'

const Chart = lazy(() => import('../components/Chart.tsx'))

const Figure = ({
  label,
  value,
  to,
  search,
  note,
}: {
  label: string
  value: string
  to: string
  search?: object
  note?: string
}) => (
  <Paper
    withBorder
    p="md"
    component={Link}
    {...({ to, search } as object)}
    style={{ textDecoration: 'none', color: 'inherit' }}
  >
    <Text size="sm" c="dimmed">
      {label}
    </Text>
    <Text fz={30} fw={700} lh={1.2}>
      {value}
    </Text>
    {note && (
      <Text size="xs" c="dimmed">
        {note}
      </Text>
    )}
  </Paper>
)

const Figures = ({ summary: { vms, last_24_hours } }: { summary: Summary }) => (
  <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }}>
    <Figure
      label="Virtual machines"
      value={count(vms.total)}
      to="/vms"
      note={`${count(vms.never_backed_up)} never backed up`}
    />
    <Figure
      label="Protected"
      value={count(vms.protected)}
      to="/vms"
      search={{ protected: 'true' }}
      note="by an enabled flow"
    />
    <Figure
      label="Unprotected"
      value={count(vms.unprotected)}
      to="/vms"
      search={{ protected: 'false' }}
      note="in no enabled flow"
    />
    <Figure
      label="Failing"
      value={count(vms.failing)}
      to="/jobs"
      search={{ status: 'failed' }}
      note="the newest backup failed"
    />
    <Figure
      label="Last 24 hours"
      value={`${count(last_24_hours.completed)} ✓`}
      to="/jobs"
      note={`${count(last_24_hours.failed)} failed, ${bytes(last_24_hours.bytes_transferred)}`}
    />
  </SimpleGrid>
)

const dayColor = ({ completed, failed, active }: Summary['days'][number]) =>
  failed > 0
    ? completed > 0
      ? 'var(--mantine-color-orange-7)'
      : 'var(--mantine-color-red-8)'
    : completed > 0
      ? 'var(--mantine-color-green-8)'
      : active > 0
        ? 'var(--mantine-color-teal-6)'
        : 'light-dark(var(--mantine-color-gray-3), var(--mantine-color-dark-4))'

/** A square a day: green all went well, orange some failed, red all failed, grey nothing ran. */
const Calendar = ({ days }: { days: Summary['days'] }) => (
  <Box
    component="ol"
    m={0}
    p={0}
    style={{ display: 'grid', gridTemplateColumns: 'repeat(auto-fit, minmax(22px, 1fr))', gap: 4, listStyle: 'none' }}
  >
    {days.map((day) => {
      const [year, month, date] = day.day.split('-').map(Number)
      const name = new Date(year!, month! - 1, date).toLocaleDateString(undefined, {
        weekday: 'short',
        day: 'numeric',
        month: 'short',
      })
      const label = `${name}: ${day.completed} completed, ${day.failed} failed${day.cancelled > 0 ? `, ${day.cancelled} cancelled` : ''}${day.active > 0 ? `, ${day.active} running` : ''}`
      return (
        <li key={day.day}>
          <Tooltip label={label}>
            <Box
              h={28}
              style={{
                borderRadius: 4,
                background: dayColor(day),
                color: '#fff',
                fontSize: 11,
                lineHeight: '28px',
                textAlign: 'center',
              }}
            >
              <span aria-hidden>{day.failed > 0 ? '!' : ''}</span>
              <VisuallyHidden>{label}</VisuallyHidden>
            </Box>
          </Tooltip>
        </li>
      )
    })}
  </Box>
)

type Attention = {
  key: string
  status: string
  what: string
  name: string
  to: string
  at: string | null
  text: string
}
/** The worst first: what is lost, what fails, what is not protected. */
const attentionOf = ({
  damaged_backups,
  failing_vms,
  repositories,
  missed_runs,
  unprotected_vms,
}: Summary): Attention[] => [
  ...damaged_backups.map(({ backup_id, vm_name, verified_at }) => ({
    key: backup_id,
    status: 'damaged',
    what: 'Restore point',
    name: vm_name,
    to: `/jobs/${encodeURIComponent(backup_id)}`,
    at: verified_at,
    text: 'Files are damaged. Heal it from a copy, or begin a new chain with a full backup.',
  })),
  ...repositories
    .filter(({ state }) => state !== 'ok')
    .map(({ id, name, state, available_bytes, last_check_at }) => ({
      key: id,
      status: state === 'low' ? 'warning' : 'offline',
      what: 'Repository',
      name,
      to: '/repositories',
      at: last_check_at,
      text: state === 'low' ? `Only ${bytes(available_bytes)} free.` : 'It can not be reached.',
    })),
  ...failing_vms.map(({ context_id, vm_name, status, completed_at, error_message }) => ({
    key: context_id,
    status,
    what: 'VM',
    name: vm_name,
    to: `/vms/${encodeURIComponent(context_id)}`,
    at: completed_at,
    text: error_message ?? 'The newest backup failed.',
  })),
  ...missed_runs.map(({ schedule_id, schedule_name, scheduled_at, error_message }) => ({
    key: `${schedule_id} ${scheduled_at}`,
    status: 'skipped',
    what: 'Schedule',
    name: schedule_name,
    to: `/schedules/${encodeURIComponent(schedule_id)}`,
    at: scheduled_at,
    text: error_message ?? 'A run was left out.',
  })),
  ...unprotected_vms.map(({ context_id, vm_name }) => ({
    key: `unprotected ${context_id}`,
    status: 'unprotected',
    what: 'VM',
    name: vm_name,
    to: `/vms/${encodeURIComponent(context_id)}`,
    at: null,
    text: 'No enabled flow backs it up.',
  })),
]

const attentionShown = 12
const AttentionList = ({ summary }: { summary: Summary }) => {
  const all = attentionOf(summary)
  if (all.length === 0)
    return (
      <Empty icon={IconCircleCheck} title="All is well" text="Nothing failed, nothing is missing, and there is room." />
    )
  return (
    <Stack gap="sm">
      {all.slice(0, attentionShown).map(({ key, status, what, name, to, at, text }) => (
        <Group key={key} gap="sm" wrap="nowrap" align="flex-start">
          <StatusBadge status={status} />
          <Box style={{ minWidth: 0, flex: 1 }}>
            <Group gap={6} wrap="nowrap">
              <Text size="sm" c="dimmed">
                {what}
              </Text>
              <Box style={{ minWidth: 0 }}>
                <NameLink {...({ to } as LinkProps)}>{name}</NameLink>
              </Box>
            </Group>
            <Text size="sm" lineClamp={2} style={{ overflowWrap: 'anywhere' }}>
              {text}
            </Text>
          </Box>
          {at && (
            <Text size="sm" c="dimmed">
              <Moment at={at} relative />
            </Text>
          )}
        </Group>
      ))}
      {all.length > attentionShown && (
        <Text size="sm" c="dimmed">
          and {all.length - attentionShown} more
        </Text>
      )}
    </Stack>
  )
}

const Storage = ({ repositories }: { repositories: Summary['repositories'] }) =>
  repositories.length === 0 ? (
    <Empty title="No repository yet" text="Backups need a folder or a share to be written to.">
      <Button component={Link} to="/repositories">
        Add a repository
      </Button>
    </Empty>
  ) : (
    <Stack gap="md">
      {repositories.map(({ id, name, state, total_bytes, used_bytes, available_bytes, days_left }) => {
        const used = total_bytes > 0 ? (used_bytes / total_bytes) * 100 : 0
        return (
          <Stack key={id} gap={4}>
            <Group justify="space-between" wrap="nowrap" gap="sm">
              <Box style={{ minWidth: 0 }}>
                <NameLink to="/repositories">{name}</NameLink>
              </Box>
              {state === 'ok' ? (
                <Text size="sm" style={{ whiteSpace: 'nowrap' }}>
                  {percent(used)}
                </Text>
              ) : (
                <StatusBadge status={state === 'low' ? 'warning' : 'offline'} />
              )}
            </Group>
            <Progress.Root size="lg">
              <Progress.Section
                value={used}
                color={used >= 95 ? 'red.9' : used >= 80 ? '#a83c0a' : undefined}
                aria-label={`Used of ${name}`}
              />
            </Progress.Root>
            <Text size="xs" c="dimmed">
              {bytes(available_bytes)} of {bytes(total_bytes)} free
              {days_left !== null && ` · full in about ${duration(days_left * 86_400)} if it goes on like this`}
            </Text>
          </Stack>
        )
      })}
    </Stack>
  )

const Throughput = () => {
  const { speeds } = useLive()
  const now = speeds.at(-1)?.bytesPerSecond ?? 0
  const [times, values] = useMemo(
    () => [speeds.map(({ at }) => at / 1000), speeds.map(({ bytesPerSecond }) => bytesPerSecond)],
    [speeds],
  )
  return (
    <Panel title="Throughput now" actions={<Text fw={700}>{speed(now)}</Text>}>
      <Suspense fallback={<Box h={160} />}>
        <Chart label="Throughput of all backups" times={times} values={values} format={speed} />
      </Suspense>
    </Panel>
  )
}

const Running = () => {
  const jobs = runningJobs(useLive())
  return (
    <Panel title={`Running backups${jobs.length > 0 ? ` (${jobs.length})` : ''}`}>
      {jobs.length === 0 ? (
        <Text c="dimmed">None at the moment.</Text>
      ) : (
        <Stack gap="md">
          {jobs.slice(0, 8).map((job) => (
            <Box key={job.backup_id}>
              <NameLink to="/jobs/$id" params={{ id: job.backup_id }}>
                {job.vm_name}
              </NameLink>
              <JobProgress job={job} label={`Backup of ${job.vm_name}`} />
            </Box>
          ))}
          {jobs.length > 8 && (
            <Anchor component={Link} to="/jobs" size="sm">
              and {jobs.length - 8} more
            </Anchor>
          )}
        </Stack>
      )}
    </Panel>
  )
}

const Mounts = () => {
  const query = useMounts()
  return (
    <Panel title="Active mounts">
      <Loaded query={query}>
        {({ mounts }) =>
          mounts.length === 0 ? (
            <Text c="dimmed">No restore point is mounted.</Text>
          ) : (
            <Stack gap="sm">
              {mounts.map((mount) => (
                <Group key={mount.mount_id} justify="space-between" wrap="nowrap" gap="sm">
                  <Box style={{ minWidth: 0 }}>
                    <NameLink to="/restore/$id" params={{ id: mount.mount_id }}>
                      {mount.vm_name}
                    </NameLink>
                    <Text size="xs" c="dimmed">
                      Disk {mount.disk_index}
                    </Text>
                  </Box>
                  <Countdown mount={mount} />
                </Group>
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Panel>
  )
}

const Dashboard = () => {
  const query = useSummary()
  return (
    <Page title="Dashboard">
      <Loaded query={query}>
        {(summary) =>
          summary.vms.total === 0 && summary.repositories.length === 0 ? (
            <Paper withBorder>
              <Empty
                icon={IconDeviceDesktop}
                title="Welcome. Nothing is protected yet."
                text="Three steps: add a repository to write backups to, add virtual machines, and back one up."
              >
                <Group justify="center">
                  <Button component={Link} to="/repositories">
                    1. Add a repository
                  </Button>
                  <Button variant="default" component={Link} to="/vms" {...({ search: { discover: '1' } } as object)}>
                    2. Add virtual machines
                  </Button>
                </Group>
              </Empty>
            </Paper>
          ) : (
            <Stack gap="lg">
              <Figures summary={summary} />
              <SimpleGrid cols={{ base: 1, lg: 2 }}>
                <Panel title="Needs attention">
                  <AttentionList summary={summary} />
                </Panel>
                <Stack>
                  <Panel title="Last 30 days">
                    <Calendar days={summary.days} />
                  </Panel>
                  <Running />
                  <Mounts />
                </Stack>
                <Panel title="Storage">
                  <Storage repositories={summary.repositories} />
                </Panel>
                <Throughput />
              </SimpleGrid>
            </Stack>
          )
        }
      </Loaded>
    </Page>
  )
}
export default Dashboard
