/** What the doctor found, which looks at database, files, processes and devices of the whole hub. */
import { Button, Group, Stack, Text } from '@mantine/core'
import { IconStethoscope } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { call, get } from '../api/client.ts'
import type { Examination } from '../api/types.ts'
import { count } from '../lib/format.ts'
import { useAttempt } from '../lib/use-attempt.ts'
import { type Column, DataTable } from './DataTable.tsx'
import { Loaded } from './Loaded.tsx'
import { Moment } from './Moment.tsx'
import { Panel } from './Panel.tsx'
import { Problem } from './Problem.tsx'
import { StatusBadge } from './StatusBadge.tsx'

type Finding = Examination['findings'][number]
const columns: Column<Finding>[] = [
  { id: 'invariant', header: 'Rule', value: ({ invariant }) => invariant },
  { id: 'subject', header: 'What', value: ({ subject }) => subject },
  { id: 'problem', header: 'Problem', value: ({ problem }) => problem },
]

const inWords = ({ state, finding_count, ended_at }: Examination) => {
  if (state === 'failed') return 'It could not look.'
  if (ended_at === null) return 'It has not looked yet. It does by itself each night.'
  return finding_count === 0 ? 'All is well.' : `${count(finding_count)} things are not as they must be.`
}

export const Doctor = () => {
  const key = ['doctor']
  const client = useQueryClient()
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => get<Examination>('/admin/doctor', signal),
    refetchInterval: ({ state }) => (state.data?.state === 'running' ? 1_000 : 60_000),
  })
  const { attempt, busy, error } = useAttempt()
  return (
    <Panel
      title="Doctor"
      actions={
        <Button
          variant="default"
          size="xs"
          leftSection={<IconStethoscope size={16} aria-hidden />}
          loading={busy || query.data?.state === 'running'}
          onClick={() =>
            attempt(async () => client.setQueryData(key, await call<Examination>('POST', '/admin/doctor')))
          }
        >
          Examine now
        </Button>
      }
    >
      <Stack>
        <Loaded query={query}>
          {(examination) => (
            <>
              <Group gap="xs" role="status">
                {examination.state !== 'never' && <StatusBadge status={examination.state} />}
                <Text size="sm">{inWords(examination)}</Text>
                {examination.ended_at !== null && (
                  <Text size="sm" c="dimmed" component="span">
                    <Moment at={examination.ended_at} />
                  </Text>
                )}
              </Group>
              {examination.error !== null && (
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  {examination.error}
                </Text>
              )}
              {examination.findings.length > 0 && (
                <DataTable
                  label="Findings"
                  rows={examination.findings}
                  columns={columns}
                  rowId={({ invariant, subject, problem }) => `${invariant} ${subject} ${problem}`}
                  sort="invariant"
                  empty={null}
                />
              )}
            </>
          )}
        </Loaded>
        {error !== null && <Problem error={error} />}
        <Text size="sm" c="dimmed">
          It compares database, files, processes and devices, and changes nothing. On the hub’s own machine it is npm
          run doctor, or sendense-doctor where the hub is installed as a package.
        </Text>
      </Stack>
    </Panel>
  )
}
