/** The hub itself: whether it is well, what it is, and the password of who is logged in. */
import {
  Anchor,
  Button,
  List,
  PasswordInput,
  SegmentedControl,
  Stack,
  Table,
  useMantineColorScheme,
} from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import type { z } from 'zod'
import type { loginAnswer } from '../../contract/api/auth.ts'
import { ApiError, call, get } from '../api/client.ts'
import { useHealth } from '../api/queries.ts'
import { session, useMay } from '../api/session.ts'
import type { DebugHealth } from '../api/types.ts'
import { Doctor } from '../components/Doctor.tsx'
import { Facts } from '../components/Facts.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { Problem } from '../components/Problem.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone } from '../components/say.ts'
import { bytes, count, duration, words } from '../lib/format.ts'
import { useAttempt } from '../lib/use-attempt.ts'

const Password = () => {
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const { attempt, busy, error } = useAttempt()
  const submit = async () => {
    const { user, expires_at } = await call<z.infer<typeof loginAnswer>>('POST', '/auth/change-password', {
      current_password: current,
      new_password: next,
    })
    session.begin(user, expires_at)
    sayDone('Your password is changed. All your other logins have ended.')
    setCurrent('')
    setNext('')
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    attempt(submit)
  }
  const fieldError = error instanceof ApiError ? error.fieldErrors.new_password : undefined
  return (
    <form onSubmit={onSubmit}>
      <Stack maw={420}>
        <PasswordInput
          label="Current password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
        <PasswordInput
          label="New password"
          description="At least 12 characters."
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={next}
          error={fieldError}
          onChange={(event) => setNext(event.currentTarget.value)}
        />
        {error !== null && !fieldError && <Problem error={error} />}
        <Button type="submit" loading={busy} style={{ alignSelf: 'flex-start' }}>
          Change password
        </Button>
      </Stack>
    </form>
  )
}

const About = () => {
  const health = useHealth()
  const isAdmin = useMay('admin')
  const debug = useQuery({
    queryKey: ['debug'],
    queryFn: ({ signal }) => get<DebugHealth>('/debug/health', signal),
    refetchInterval: 15_000,
  })
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  return (
    <Page title="Settings and about">
      <Panel title="Health">
        <Loaded query={health}>
          {({ status, version, uptime_seconds, database, checks }) => (
            <Stack>
              <Facts
                facts={[
                  ['Hub', <StatusBadge key="s" status={status} />],
                  ['Version', version],
                  ['Runs for', duration(uptime_seconds)],
                  ['Database', words(database)],
                ]}
              />
              <Table.ScrollContainer minWidth={320}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Part</Table.Th>
                      <Table.Th>State</Table.Th>
                      <Table.Th>About it</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {Object.entries(checks).map(([name, state]) => (
                      <Table.Tr key={name}>
                        <Table.Td>{words(name)}</Table.Td>
                        <Table.Td>
                          <StatusBadge status={state} />
                        </Table.Td>
                        <Table.Td>{debug.data?.system_info.component_status[name]?.description ?? ''}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            </Stack>
          )}
        </Loaded>
      </Panel>
      <Panel title="In use">
        <Loaded query={debug}>
          {({ debug_data, system_info }) => (
            <Facts
              facts={[
                ['Running backups', count(debug_data.active_jobs)],
                ['Mounts', count(debug_data.active_mounts)],
                ['NBD ports', count(debug_data.nbd_ports_in_use)],
                ['Memory of the hub', bytes(system_info.memory_stats.rss)],
                ['Runtime', system_info.runtime_version],
                ['Endpoints', count(system_info.api_endpoints)],
              ]}
            />
          )}
        </Loaded>
      </Panel>
      {isAdmin && <Doctor />}
      <Panel title="Appearance">
        <SegmentedControl
          aria-label="Colours"
          value={colorScheme}
          onChange={(value) => setColorScheme(value as 'auto' | 'light' | 'dark')}
          data={[
            { value: 'auto', label: 'System' },
            { value: 'light', label: 'Light' },
            { value: 'dark', label: 'Dark' },
          ]}
        />
      </Panel>
      <Panel title="Password">
        <Password />
      </Panel>
      <Panel title="More">
        <List spacing="xs">
          <List.Item>
            <Anchor href="/swagger/index.html" target="_blank" rel="noreferrer">
              API documentation
            </Anchor>
          </List.Item>
          <List.Item>
            <Anchor href="/openapi.json" target="_blank" rel="noreferrer">
              OpenAPI document
            </Anchor>
          </List.Item>
        </List>
      </Panel>
    </Page>
  )
}
export default About
