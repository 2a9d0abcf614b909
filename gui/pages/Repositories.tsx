/** Where backups are kept. */
import { Alert, Button, Progress, Stack, Text } from '@mantine/core'
import { IconDatabase, IconPlayerPause, IconPlayerPlay, IconRefresh, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useRefresh, useRepositories } from '../api/queries.ts'
import type { Repository } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import type { Column } from '../components/DataTable.tsx'
import { type Field, FormDialog, type Values } from '../components/FormDialog.tsx'
import { Name } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { bytes, count, percent } from '../lib/format.ts'

const is =
  (...types: string[]) =>
  (values: Values) =>
    types.includes(String(values.type))
const fields: Field[] = [
  { name: 'name', label: 'Name', required: true },
  {
    name: 'type',
    label: 'Kind',
    kind: 'select',
    required: true,
    options: [
      { value: 'local', label: 'Folder of this machine' },
      { value: 'nfs', label: 'NFS export' },
      { value: 'cifs', label: 'SMB share' },
    ],
  },
  {
    name: 'config.path',
    label: 'Folder',
    required: true,
    when: is('local'),
    placeholder: '/srv/backups',
    description: 'An absolute path. It is made when it is not there; best on a filesystem of its own.',
  },
  { name: 'config.server', label: 'Server', required: true, when: is('nfs', 'cifs') },
  { name: 'config.export_path', label: 'Export', required: true, when: is('nfs'), placeholder: '/export/backups' },
  { name: 'config.share_name', label: 'Share', required: true, when: is('cifs') },
  { name: 'config.username', label: 'User', when: is('cifs') },
  {
    name: 'config.password',
    label: 'Password',
    kind: 'password',
    when: is('cifs'),
    description: 'Kept encrypted, and given to the mount in a file that only root can read.',
  },
  { name: 'config.domain', label: 'Domain', when: is('cifs') },
  { name: 'config.mount_options', label: 'Mount options', when: is('nfs', 'cifs'), placeholder: 'nconnect=4' },
  { name: 'min_retention_days', label: 'Days that nothing may be deleted', kind: 'number', min: 0, max: 3650 },
  { name: 'is_immutable', label: 'Make files immutable for those days (chattr +i)', kind: 'switch', when: is('local') },
  { name: 'enabled', label: 'Enabled', kind: 'switch' },
]

/** `config.path` is the field path of the contract's own answers: what is refused is said at its field. */
const bodyOf = (values: Values) => {
  const config: Values = {}
  const body: Record<string, unknown> = {}
  for (const { name, when } of fields) {
    if (when && !when(values)) continue
    const value = values[name]
    if (name.startsWith('config.')) {
      if (value !== '' && value !== null && value !== undefined) config[name.slice(7)] = value
    } else body[name] = value
  }
  return { ...body, config }
}

const RepositoryDialog = ({ repository, onClose }: { repository: Repository | null; onClose: () => void }) => {
  const refresh = useRefresh()
  return (
    <FormDialog
      title={repository ? `Edit ${repository.name}` : 'New repository'}
      action={repository ? 'Save' : 'Create'}
      fields={repository ? fields.filter(({ name }) => name !== 'is_immutable' && name !== 'type') : fields}
      initial={
        repository
          ? {
              name: repository.name,
              type: repository.type,
              enabled: repository.enabled,
              min_retention_days: repository.min_retention_days,
              ...Object.fromEntries(
                Object.entries(repository.config).map(([name, value]) => [`config.${name}`, value as Values[string]]),
              ),
            }
          : { name: '', type: 'local', 'config.path': '', min_retention_days: 0, is_immutable: false, enabled: true }
      }
      submit={async (values) => {
        if (repository) {
          const {
            type: _,
            is_immutable: __,
            ...body
          } = bodyOf({ ...values, type: repository.type }) as Record<string, unknown>
          await call('PATCH', `/repositories/${repository.id}`, body)
        } else await call('POST', '/repositories', bodyOf(values))
        await refresh('repositories', 'summary')
        return repository ? 'Saved' : `The repository ${values.name} is there`
      }}
      test={{
        label: 'Test',
        run: async (values) => {
          const { type, config } = bodyOf({ ...values, type: repository?.type ?? values.type ?? null }) as Record<
            string,
            unknown
          >
          const { success, message, error_details, storage_info } = await call<{
            success: boolean
            message: string
            error_details: string | null
            storage_info: { available_bytes: number; total_bytes: number } | null
          }>('POST', '/repositories/test', { type: type ?? repository?.type, config })
          return (
            <Alert color={success ? 'green' : 'red'} title={message} variant="light" role="status">
              <Text size="sm">
                {error_details ??
                  (storage_info &&
                    `${bytes(storage_info.available_bytes)} of ${bytes(storage_info.total_bytes)} are free.`)}
              </Text>
            </Alert>
          )
        },
      }}
      onClose={onClose}
    />
  )
}

const place = ({ type, config }: Repository) =>
  type === 'local'
    ? String(config.path ?? '')
    : type === 'nfs'
      ? `${config.server}:${config.export_path}`
      : `//${config.server}/${config.share_name}`

const columns: Column<Repository>[] = [
  { id: 'name', header: 'Name', value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  { id: 'place', header: 'Place', wide: true, value: place, cell: (row) => <Name>{place(row)}</Name> },
  { id: 'type', header: 'Kind', wide: true, value: ({ type }) => type.toUpperCase().replace('LOCAL', 'Folder') },
  {
    id: 'state',
    header: 'State',
    value: ({ enabled, storage_info }) => (enabled ? (storage_info ? 'enabled' : 'offline') : 'disabled'),
    cell: ({ enabled, storage_info }) => (
      <StatusBadge status={enabled ? (storage_info ? 'enabled' : 'offline') : 'disabled'} />
    ),
  },
  {
    id: 'used',
    header: 'Used',
    value: ({ storage_info }) => storage_info?.used_percent ?? -1,
    cell: ({ name, storage_info }) =>
      storage_info === null ? (
        '–'
      ) : (
        <Stack gap={2} miw={120}>
          <Text size="xs">
            {percent(storage_info.used_percent)}, {bytes(storage_info.available_bytes)} free
          </Text>
          <Progress.Root size="md">
            <Progress.Section
              value={storage_info.used_percent}
              color={
                storage_info.used_percent >= 95 ? 'red.9' : storage_info.used_percent >= 80 ? '#a83c0a' : undefined
              }
              aria-label={`Used of ${name}`}
            />
          </Progress.Root>
        </Stack>
      ),
  },
  {
    id: 'backups',
    header: 'Backups',
    align: 'end',
    wide: true,
    value: ({ backup_count }) => backup_count,
    cell: ({ backup_count }) => count(backup_count),
  },
  {
    id: 'immutable',
    header: 'Immutable',
    wide: true,
    value: ({ is_immutable, min_retention_days }) => (is_immutable ? `${min_retention_days} days` : 'No'),
  },
]

const Repositories = () => {
  const query = useRepositories()
  const refresh = useRefresh()
  const [isMeasuring, setMeasuring] = useState(false)
  const again = () => refresh('repositories', 'summary')
  const measure = async () => {
    setMeasuring(true)
    try {
      const { message } = await call<{ message: string }>('POST', '/repositories/refresh-storage')
      await again()
      sayDone(message)
    } catch (error) {
      sayProblem(error)
    } finally {
      setMeasuring(false)
    }
  }
  return (
    <ResourcePage
      title="Repositories"
      text="Folders and shares that backups are kept in."
      noun="repository"
      icon={IconDatabase}
      emptyText="A repository is a folder of this machine, an NFS export or an SMB share. Stock qemu-img opens what is in it."
      needs="admin"
      query={query}
      columns={columns}
      rowId={({ id }) => id}
      nameOf={({ name }) => name}
      extra={
        <Button
          variant="default"
          leftSection={<IconRefresh size={16} aria-hidden />}
          loading={isMeasuring}
          onClick={() => void measure()}
        >
          Measure now
        </Button>
      }
      dialog={(repository, close) => <RepositoryDialog key={repository?.id} repository={repository} onClose={close} />}
      actions={(row, mayChange) => [
        {
          label: row.enabled ? 'Disable' : 'Enable',
          icon: row.enabled ? IconPlayerPause : IconPlayerPlay,
          disabled: !mayChange,
          onClick: () =>
            void call('PATCH', `/repositories/${row.id}`, { enabled: !row.enabled }).then(
              () => again().then(() => sayDone('Saved')),
              sayProblem,
            ),
        },
        {
          label: 'Delete with its copies',
          icon: IconTrash,
          isDangerous: true,
          disabled: !mayChange || row.backup_count === 0,
          onClick: () =>
            confirm({
              title: `Give up the copies in ${row.name}?`,
              text: 'For a storage that is gone for good: the hub forgets the repository and all copies in it, so that the restore points that they were made of can be merged and deleted again. No file is touched. Restore points that lie there themselves must be deleted first.',
              action: 'Give them up',
              work: async () => {
                await call('DELETE', `/repositories/${row.id}?forget_copies=true`)
                await again()
                return `The repository ${row.name} and its copies are forgotten`
              },
            }),
        },
      ]}
      remove={{
        text: 'Only a repository without backups can be deleted. Its folder stays.',
        run: async ({ id }) => {
          await call('DELETE', `/repositories/${id}`)
          await refresh('summary')
        },
      }}
    />
  )
}
export default Repositories
