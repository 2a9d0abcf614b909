/** One policy, and what it would keep and take away if it were applied now: as it is, or with other numbers. */
import { Alert, Badge, Button, Group, NumberInput, Stack, Text } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { call, get } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Policy as PolicyType, Retention } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Facts } from '../components/Facts.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { NameLink } from '../components/Name.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { Problem } from '../components/Problem.tsx'
import { sayDone } from '../components/say.ts'
import { bytes, count, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { useAttempt } from '../lib/use-attempt.ts'
import { keepsInWords } from '../protection/in-words.ts'
import { type Keep, KeepCounts, keepCounts, keepNothing } from '../protection/KeepCounts.tsx'

type Point = Retention['points'][number]
const columns: Column<Point>[] = [
  {
    id: 'point',
    header: 'Restore point',
    value: ({ completed_at }) => completed_at,
    cell: ({ backup_id, completed_at }) => (
      <NameLink to="/jobs/$id" params={{ id: backup_id }}>
        {completed_at === null
          ? backup_id
          : new Date(completed_at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}
      </NameLink>
    ),
  },
  { id: 'vm', header: 'Virtual machine', value: ({ vm_name }) => vm_name },
  {
    id: 'type',
    header: 'Kind',
    wide: true,
    value: ({ backup_type }) => backup_type,
    cell: ({ backup_type }) => words(backup_type),
  },
  {
    id: 'action',
    header: 'What becomes of it',
    value: ({ action }) => action,
    cell: ({ action }) => (
      <Badge color={action === 'keep' ? '#1e7534' : 'gray.7'} tt="none" radius="sm">
        {action === 'keep' ? 'Stays' : action === 'delete' ? 'Is deleted' : 'Is merged into the next'}
      </Badge>
    ),
  },
  { id: 'why', header: 'Why', wide: true, value: ({ reasons }) => reasons.join(', ') },
  {
    id: 'size',
    header: 'Size',
    align: 'end',
    wide: true,
    value: ({ size_bytes }) => size_bytes,
    cell: ({ size_bytes }) => bytes(size_bytes),
  },
]

type Rules = { retention_days: number; keep: Keep | null }
/** What is tried stands in the URL: `?try=30,0,0,7,4,12,0`, the days and then the counts. */
const toText = ({ retention_days, keep }: Rules) =>
  [retention_days, ...keepCounts.map((name) => (keep ?? keepNothing)[name])].join()
const fromText = (text: string): Rules => {
  const [days = 0, ...counts] = text.split(',').map((part) => Math.max(0, Math.trunc(Number(part)) || 0))
  const keep = Object.fromEntries(keepCounts.map((name, at) => [name, counts[at] ?? 0])) as Keep
  return { retention_days: days, keep: keepCounts.some((name) => keep[name] > 0) ? keep : null }
}

const queryOf = ({ retention_days, keep }: Rules) =>
  new URLSearchParams({
    retention_days: String(retention_days),
    ...Object.fromEntries(keepCounts.map((name) => [name, String((keep ?? keepNothing)[name])])),
  }).toString()

/** Numbers to try: what they would keep is shown below, and nothing is changed until they are saved. */
const Tryout = ({
  policy,
  tried,
  onChange,
}: {
  policy: PolicyType
  tried: Rules
  onChange: (tried: Rules | null) => void
}) => {
  const mayChange = useMay('operator')
  const refresh = useRefresh()
  const { attempt, busy, error } = useAttempt()
  const save = async () => {
    await call('PUT', `/policies/${policy.id}`, tried)
    await refresh('policies', 'flows')
    sayDone('Saved')
    onChange(null)
  }
  return (
    <Stack maw={560} mb="md">
      <NumberInput
        label="Days"
        min={0}
        max={3650}
        value={tried.retention_days}
        onChange={(value) => onChange({ ...tried, retention_days: Number(value) || 0 })}
      />
      <KeepCounts keep={tried.keep ?? keepNothing} onChange={(keep) => onChange({ ...tried, keep })} />
      {error !== null && <Problem error={error} />}
      <Group>
        <Button disabled={!mayChange || toText(tried) === toText(policy)} loading={busy} onClick={() => attempt(save)}>
          Save these numbers
        </Button>
        <Button variant="default" onClick={() => onChange(null)}>
          Back to the policy’s own
        </Button>
      </Group>
    </Stack>
  )
}

const Policy = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const [url, setUrl] = useUrlState()
  const tried = url.try === undefined ? undefined : fromText(url.try)
  const [settled] = useDebouncedValue(url.try, 250)
  const supposed = settled === undefined ? '' : `?${queryOf(fromText(settled))}`
  const query = useQuery({
    queryKey: ['policies', id],
    queryFn: ({ signal }) => get<PolicyType>(`/policies/${encodeURIComponent(id)}`, signal),
  })
  const plan = useQuery({
    queryKey: ['policies', id, 'retention', supposed],
    queryFn: ({ signal }) => get<Retention>(`/policies/${encodeURIComponent(id)}/retention${supposed}`, signal),
    // Numbers change while the points stand there.
    placeholderData: keepPreviousData,
  })
  const change = (next: Rules | null) => setUrl({ try: next ? toText(next) : '' })
  return (
    <Page
      title={query.data?.name ?? 'Policy'}
      text={query.data && `Keeps ${keepsInWords(query.data)}.`}
      actions={
        query.data &&
        !tried && (
          <Button variant="default" onClick={() => change(query.data)}>
            Try other numbers
          </Button>
        )
      }
    >
      <Loaded query={query}>
        {(policy) => (
          <Facts
            facts={[
              ['State', policy.enabled ? 'Enabled' : 'Disabled, nothing is taken away'],
              ['Keeps', keepsInWords(policy)],
              ['Copies', `${policy.copy_rules.length}`],
              ['Changed', <Moment key="c" at={policy.updated_at} />],
            ]}
          />
        )}
      </Loaded>
      <Panel title={tried ? 'If it kept' : 'If it were applied now'}>
        {tried && query.data && <Tryout policy={query.data} tried={tried} onChange={change} />}
        <Loaded query={plan}>
          {({ points, keep_count, delete_count, freed_bytes }) => (
            <>
              {delete_count > 0 && (
                <Alert
                  variant="light"
                  color="orange"
                  mb="sm"
                  title={`${count(delete_count)} restore points ${tried ? 'would go' : 'go'}`}
                >
                  <Text size="sm">
                    About {bytes(freed_bytes)} {tried ? 'would become' : 'become'} free.{' '}
                    {!tried && 'The hub does it each night, and after each backup.'}
                  </Text>
                </Alert>
              )}
              <Group mb="sm">
                <Text size="sm" c="dimmed">
                  {count(keep_count)} stay, {count(delete_count)} go
                </Text>
              </Group>
              <DataTable
                label="Restore points"
                rows={points}
                columns={columns}
                rowId={({ backup_id }) => backup_id}
                sort="-point"
                empty={
                  <Empty
                    title="No restore point is under this policy"
                    text="Give it to a flow, or choose it with Back up now."
                  />
                }
              />
            </>
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
export default Policy
