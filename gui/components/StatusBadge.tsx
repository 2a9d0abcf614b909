import { Badge } from '@mantine/core'
import { words } from '../lib/format.ts'

const colors: Record<string, string> = {
  ready: 'green.9',
  completed: 'green.9',
  success: 'green.9',
  verified: 'green.9',
  mounted: 'green.9',
  sent: 'green.9',
  passed: 'green.9',
  healthy: 'green.9',
  ok: 'green.9',
  protected: 'green.9',
  enabled: 'green.9',
  started: 'teal.7',
  in_progress: 'teal.7',
  running: 'teal.7',
  copying: 'teal.7',
  verifying: 'teal.7',
  mounting: 'teal.7',
  pending: 'gray.7',
  unverified: 'gray.7',
  cancelled: 'gray.7',
  skipped: 'gray.7',
  disabled: 'gray.7',
  scheduled: 'gray.7',
  discovered: 'gray.7',
  stalled: 'orange.9',
  warning: 'orange.9',
  degraded: 'orange.9',
  unprotected: 'orange.9',
  failed: 'red.9',
  error: 'red.9',
  damaged: 'red.9',
  critical: 'red.9',
  offline: 'red.9',
}

/** A state, in words and in a colour; never in a colour alone. */
export const StatusBadge = ({ status }: { status: string }) => (
  <Badge variant="filled" color={colors[status] ?? 'gray.7'} radius="sm" tt="none" fw={600} style={{ flexShrink: 0 }}>
    {words(status)}
  </Badge>
)
