/** Restore points as a timeline: each chain begins with a full, and each increment builds on the point before it. */
import { Box, Group, Paper, Stack, Text, Tooltip } from '@mantine/core'
import { IconCircleFilled, IconLock, IconShield, IconSquareFilled } from '@tabler/icons-react'
import { useBackups } from '../api/queries.ts'
import type { Backup } from '../api/types.ts'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { NameLink } from '../components/Name.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { bytes, count, dateTime, words } from '../lib/format.ts'
import { RestoreButton } from '../restore/RestoreButton.tsx'

const pointsShown = 500

/** Newest chain first, within a chain oldest first. */
const chainsOf = (backups: Backup[]): Backup[][] => {
  const byId = new Map(backups.map((backup) => [backup.backup_id, backup]))
  const rootOf = (backup: Backup): string => {
    let at = backup
    for (let parent = byId.get(at.parent_backup_id ?? ''); parent; parent = byId.get(at.parent_backup_id ?? ''))
      at = parent
    return at.backup_id
  }
  const chains = new Map<string, Backup[]>()
  for (const backup of backups.toReversed()) {
    const root = rootOf(backup)
    chains.set(root, [...(chains.get(root) ?? []), backup])
  }
  return [...chains.values()].toReversed()
}

const Point = ({ backup }: { backup: Backup }) => (
  <Group component="li" gap="sm" wrap="nowrap" align="center" py={6}>
    <Box c={backup.backup_type === 'full' ? 'teal' : 'dimmed'} style={{ display: 'flex' }}>
      {backup.backup_type === 'full' ? (
        <IconSquareFilled size={16} aria-hidden />
      ) : (
        <IconCircleFilled size={12} aria-hidden style={{ margin: 2 }} />
      )}
    </Box>
    <Box style={{ flex: 1, minWidth: 0 }}>
      <NameLink to="/jobs/$id" params={{ id: backup.backup_id }}>
        {dateTime(backup.completed_at ?? backup.created_at)}
      </NameLink>
      <Text size="xs" c="dimmed">
        {words(backup.backup_type)} · {bytes(backup.bytes_transferred)}
      </Text>
    </Box>
    {backup.protected && (
      <Tooltip label="Protected: no policy takes it away">
        <IconShield size={18} aria-label="Protected" />
      </Tooltip>
    )}
    {backup.locked_until && Date.parse(backup.locked_until) > Date.now() && (
      <Tooltip label={`Immutable until ${dateTime(backup.locked_until)}`}>
        <IconLock size={18} aria-label="Immutable" />
      </Tooltip>
    )}
    {backup.merging_into ? <StatusBadge status="merging" /> : <StatusBadge status={backup.verify_state} />}
    <RestoreButton backup={backup} compact />
  </Group>
)

export const Chains = ({ contextId }: { contextId: string }) => {
  const query = useBackups({ vm_context_id: contextId, status: 'completed', limit: pointsShown })
  return (
    <Loaded query={query}>
      {({ backups, total }) =>
        backups.length === 0 ? (
          <Empty title="No restore point yet" text="Back the machine up: with Back up now, or by a protection flow." />
        ) : (
          <Stack>
            {chainsOf(backups).map((chain) => {
              const [first, last] = [chain[0]!, chain.at(-1)!]
              return (
                <Paper key={first.backup_id} withBorder p="md">
                  <Group justify="space-between" gap="xs">
                    <Text fw={600}>
                      Chain of {count(chain.length)} {chain.length === 1 ? 'point' : 'points'}
                    </Text>
                    <Text size="sm" c="dimmed">
                      {first.repository_name} ·{' '}
                      {bytes(chain.reduce((sum, { bytes_transferred }) => sum + bytes_transferred, 0))}
                      {' · '}
                      {dateTime(first.completed_at ?? first.created_at)} –{' '}
                      {dateTime(last.completed_at ?? last.created_at)}
                    </Text>
                  </Group>
                  <Box component="ol" m={0} p={0} style={{ listStyle: 'none' }}>
                    {chain.toReversed().map((backup) => (
                      <Point key={backup.backup_id} backup={backup} />
                    ))}
                  </Box>
                </Paper>
              )
            })}
            {total > backups.length && (
              <Text size="sm" c="dimmed">
                The newest {count(backups.length)} of {count(total)} restore points.
              </Text>
            )}
          </Stack>
        )
      }
    </Loaded>
  )
}
