/** Who is told of what. */
import { Drawer, Table, Text } from '@mantine/core'
import { IconBell, IconHistory, IconSend } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { notificationEvents } from '../../contract/api/notifications.ts'
import { call, get, withQuery } from '../api/client.ts'
import { options, useRefresh, useRepositories } from '../api/queries.ts'
import type { Deliveries, Notification } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { type Field, FormDialog, type Values } from '../components/FormDialog.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { words } from '../lib/format.ts'

const eventWords: Record<(typeof notificationEvents)[number], string> = {
  backup_failed: 'A backup failed',
  backup_stalled: 'A backup has stalled',
  backup_recovered: 'A machine is backed up again',
  run_missed: 'A run was missed',
  storage_low: 'A repository runs out of room',
  verify_failed: 'A restore point is damaged',
}
const is = (type: string) => (values: Values) => values.type === type
const fieldsOf = (rule: Notification | null, repositories: { value: string; label: string }[]): Field[] => [
  { name: 'name', label: 'Name', required: true },
  ...(rule
    ? []
    : [
        {
          name: 'type',
          label: 'By',
          kind: 'select' as const,
          required: true,
          options: [
            { value: 'mail', label: 'Mail' },
            { value: 'webhook', label: 'Webhook' },
          ],
        },
      ]),
  {
    name: 'config.url',
    label: 'URL',
    required: true,
    when: is('webhook'),
    placeholder: 'https://chat.example/hooks/backup',
  },
  { name: 'config.host', label: 'Mail server', required: true, when: is('mail') },
  { name: 'config.port', label: 'Port', kind: 'number', min: 1, max: 65_535, when: is('mail') },
  { name: 'config.tls', label: 'TLS from the first byte', kind: 'switch', when: is('mail') },
  { name: 'config.username', label: 'User', when: is('mail') },
  { name: 'config.from', label: 'From', required: true, when: is('mail'), placeholder: 'backup@example.org' },
  {
    name: 'config.to',
    label: 'To',
    required: true,
    when: is('mail'),
    description: 'Addresses, with a comma between them.',
  },
  {
    name: 'secret',
    label: 'Secret',
    kind: 'password',
    description: `${rule?.secret_set ? 'Empty: it stays as it is. ' : ''}The password of the mail account, or what webhooks are signed with.`,
  },
  {
    name: 'events',
    label: 'Of what',
    kind: 'many',
    options: Object.entries(eventWords).map(([value, label]) => ({ value, label })),
    description: 'None chosen: of all.',
  },
  { name: 'repository_ids', label: 'Only of these repositories', kind: 'many', options: repositories },
  { name: 'enabled', label: 'Enabled', kind: 'switch' },
]

const configOf = (type: unknown, values: Values) =>
  type === 'webhook'
    ? { url: values['config.url'] }
    : {
        host: values['config.host'],
        port: values['config.port'],
        tls: values['config.tls'],
        username: values['config.username'],
        from: values['config.from'],
        to: String(values['config.to'] ?? '')
          .split(',')
          .map((address) => address.trim())
          .filter((address) => address !== ''),
      }

const NotificationDialog = ({ rule, onClose }: { rule: Notification | null; onClose: () => void }) => {
  const repositories = useRepositories()
  const refresh = useRefresh()
  const config = Object.fromEntries(
    Object.entries(rule?.config ?? {}).map(([name, value]) => [
      `config.${name}`,
      Array.isArray(value) ? value.join(', ') : (value as Values[string]),
    ]),
  )
  return (
    <FormDialog
      title={rule ? `Edit ${rule.name}` : 'New notification'}
      action={rule ? 'Save' : 'Create'}
      fields={fieldsOf(rule, options(repositories.data))}
      initial={
        rule
          ? {
              name: rule.name,
              type: rule.type,
              ...config,
              secret: '',
              events: rule.events,
              repository_ids: rule.repository_ids,
              enabled: rule.enabled,
            }
          : {
              name: '',
              type: 'mail',
              'config.port': 587,
              'config.tls': false,
              'config.username': '',
              secret: '',
              events: [],
              repository_ids: [],
              enabled: true,
            }
      }
      submit={async (values) => {
        const { name, secret, events, repository_ids, enabled } = values
        const body = {
          name,
          events,
          repository_ids,
          enabled,
          config: configOf(values.type, values),
          ...(rule && secret === '' ? {} : { secret }),
        }
        if (rule) await call('PUT', `/notifications/${rule.id}`, body)
        else await call('POST', '/notifications', { ...body, type: values.type })
        await refresh('notifications')
        return rule ? 'Saved' : `The notification ${name} is there`
      }}
      onClose={onClose}
    />
  )
}

const Sent = ({ rule, onClose }: { rule: Notification; onClose: () => void }) => {
  const query = useQuery({
    queryKey: ['notifications', rule.id, 'deliveries'],
    queryFn: ({ signal }) => get<Deliveries>(withQuery(`/notifications/${rule.id}/deliveries`, { limit: 50 }), signal),
  })
  return (
    <Drawer opened onClose={onClose} title={`Messages of ${rule.name}`} position="right" size="lg">
      <Loaded query={query}>
        {({ deliveries }) =>
          deliveries.length === 0 ? (
            <Empty title="No message yet" text="What was sent, or could not be, is shown here." />
          ) : (
            <Table>
              <Table.Tbody>
                {deliveries.map((one) => (
                  <Table.Tr key={one.id}>
                    <Table.Td>
                      <StatusBadge status={one.status} />
                    </Table.Td>
                    <Table.Td>
                      <Text size="sm">{one.text}</Text>
                      {one.last_error && (
                        <Text size="xs" c="dimmed">
                          {one.last_error} ({one.attempts} tries)
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td>
                      <Moment at={one.created_at} relative />
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          )
        }
      </Loaded>
    </Drawer>
  )
}

const columns: Column<Notification>[] = [
  { id: 'name', header: 'Name', value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  { id: 'type', header: 'By', value: ({ type }) => words(type) },
  {
    id: 'to',
    header: 'To',
    wide: true,
    value: ({ config }) => String(config.url ?? (config.to as string[] | undefined)?.join(', ') ?? ''),
    cell: ({ config }) => <Name>{String(config.url ?? (config.to as string[] | undefined)?.join(', ') ?? '')}</Name>,
  },
  {
    id: 'events',
    header: 'Of what',
    wide: true,
    value: ({ events }) => (events.length === 0 ? 'All' : events.map((event) => eventWords[event]).join(', ')),
  },
  {
    id: 'enabled',
    header: 'State',
    value: ({ enabled }) => enabled,
    cell: ({ enabled }) => <StatusBadge status={enabled ? 'enabled' : 'disabled'} />,
  },
]

const Notifications = () => {
  const query = useQuery({
    queryKey: ['notifications'],
    queryFn: ({ signal }) => get<{ notifications: Notification[] }>('/notifications', signal),
    select: ({ notifications }) => notifications,
  })
  const [shown, setShown] = useState<Notification | null>(null)
  return (
    <>
      <ResourcePage
        title="Notifications"
        text="Who is told when something fails, is missed, or runs out of room."
        noun="notification"
        icon={IconBell}
        emptyText="Have a mail sent, or a webhook called, when a backup fails or a repository fills up."
        needs="admin"
        query={query}
        columns={columns}
        rowId={({ id }) => id}
        nameOf={({ name }) => name}
        dialog={(rule, close) => <NotificationDialog key={rule?.id} rule={rule} onClose={close} />}
        actions={(rule, mayChange) => [
          {
            label: 'Send a test',
            icon: IconSend,
            disabled: !mayChange,
            onClick: () =>
              void call<{ success: boolean; message: string }>('POST', `/notifications/${rule.id}/test`, {}).then(
                ({ success, message }) => (success ? sayDone(message) : sayProblem(new Error(message))),
                sayProblem,
              ),
          },
          { label: 'Messages', icon: IconHistory, onClick: () => setShown(rule) },
        ]}
        remove={{ text: 'Nobody is told by it any more.', run: ({ id }) => call('DELETE', `/notifications/${id}`) }}
      />
      {shown && <Sent rule={shown} onClose={() => setShown(null)} />}
    </>
  )
}
export default Notifications
