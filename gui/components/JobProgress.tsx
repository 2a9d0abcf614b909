import { Group, Progress, Stack, Text } from '@mantine/core'
import { type LiveJob, useLive } from '../api/live.ts'
import { bytes, duration, percent, speed, words } from '../lib/format.ts'

type Shown = Pick<
  LiveJob,
  | 'backup_id'
  | 'status'
  | 'current_phase'
  | 'progress_percent'
  | 'bytes_transferred'
  | 'total_bytes'
  | 'transfer_speed_bps'
  | 'eta_seconds'
>

/** How far a backup is, as the hub last told it. */
export const JobProgress = ({ job, label }: { job: Shown; label: string }) => {
  const now: Shown = useLive().jobs.get(job.backup_id) ?? job
  const rest = [
    `${bytes(now.bytes_transferred)} of ${bytes(now.total_bytes)}`,
    ...(now.transfer_speed_bps > 0 ? [speed(now.transfer_speed_bps)] : []),
    ...(now.eta_seconds !== null && now.eta_seconds > 0 ? [`${duration(now.eta_seconds)} left`] : []),
  ]
  return (
    <Stack gap={4}>
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" truncate>
          {words(now.current_phase || now.status)}
        </Text>
        <Text size="sm" style={{ fontVariantNumeric: 'tabular-nums', whiteSpace: 'nowrap' }}>
          {percent(now.progress_percent)}
        </Text>
      </Group>
      <Progress.Root size="lg">
        <Progress.Section
          value={now.progress_percent}
          animated
          color={now.status === 'stalled' ? '#a83c0a' : undefined}
          aria-label={label}
          aria-valuetext={`${percent(now.progress_percent)}, ${rest.join(', ')}`}
        />
      </Progress.Root>
      <Text size="xs" c="dimmed">
        {rest.join(' · ')}
      </Text>
    </Stack>
  )
}
