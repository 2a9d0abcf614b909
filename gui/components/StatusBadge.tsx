import { Badge } from '@mantine/core'
import { words } from '../lib/format.ts'

/** White text stands on each at 4.5 : 1 or more. */
const [good, doubtful, bad, active, quiet] = ['#1e7534', '#a83c0a', 'red.9', 'teal.7', 'gray.7']
const colors: Record<string, string> = {
  ready: good,
  completed: good,
  success: good,
  verified: good,
  mounted: good,
  sent: good,
  passed: good,
  healthy: good,
  ok: good,
  protected: good,
  enabled: good,
  started: active,
  in_progress: active,
  running: active,
  copying: active,
  verifying: active,
  mounting: active,
  pending: quiet,
  unverified: quiet,
  cancelled: quiet,
  skipped: quiet,
  disabled: quiet,
  scheduled: quiet,
  discovered: quiet,
  stalled: doubtful,
  warning: doubtful,
  degraded: doubtful,
  unprotected: doubtful,
  failed: bad,
  error: bad,
  damaged: bad,
  critical: bad,
  offline: bad,
}

/** A state, in words and in a colour; never in a colour alone. */
export const StatusBadge = ({ status }: { status: string }) => (
  <Badge
    variant="filled"
    color={colors[status] ?? quiet}
    radius="sm"
    tt="none"
    fw={600}
    style={{ flexShrink: 0, minWidth: 'max-content' }}
  >
    {words(status)}
  </Badge>
)
