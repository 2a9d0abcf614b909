/** One backup: how far it is or how it went, disk by disk, and what can be done with it. */
import { Alert, Button, Group, List, Progress, Stack, Table, Text } from '@mantine/core'
import {
  IconCircleCheck,
  IconCopy,
  IconHeartbeat,
  IconShield,
  IconShieldOff,
  IconTrash,
  IconX,
} from '@tabler/icons-react'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { isRunning, useLive } from '../api/live.ts'
import { options, useBackup, useCopies, useRefresh, useRepositories } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { BackupDetail, Copy } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import { Facts } from '../components/Facts.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { JobProgress } from '../components/JobProgress.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { Page } from '../components/Page.tsx'
import { Panel } from '../components/Panel.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { bytes, count, duration, percent, speed, words } from '../lib/format.ts'
import { RestoreButton } from '../restore/RestoreButton.tsx'

const path = (id: string) => `/backups/${encodeURIComponent(id)}`

const Disks = ({ backup }: { backup: BackupDetail }) => (
  <Table.ScrollContainer minWidth={520} scrollAreaProps={{ viewportProps: { tabIndex: 0, 'aria-label': 'Disks' } }}>
    <Table>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Disk</Table.Th>
          <Table.Th>Status</Table.Th>
          <Table.Th w="30%">Progress</Table.Th>
          <Table.Th ta="end">Transferred</Table.Th>
          <Table.Th ta="end">Size</Table.Th>
          <Table.Th ta="end">Stored</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {backup.disks.map((disk) => (
          <Table.Tr key={disk.disk_index}>
            <Table.Td>
              {disk.disk_index} {disk.label && `(${disk.label})`}
            </Table.Td>
            <Table.Td>
              <StatusBadge status={disk.status} />
            </Table.Td>
            <Table.Td>
              <Group gap="xs" wrap="nowrap">
                <Progress.Root size="lg" style={{ flex: 1 }}>
                  <Progress.Section value={disk.progress_percent} aria-label={`Progress of disk ${disk.disk_index}`} />
                </Progress.Root>
                <Text size="sm">{percent(disk.progress_percent)}</Text>
              </Group>
            </Table.Td>
            <Table.Td ta="end" style={{ whiteSpace: 'nowrap' }}>
              {bytes(disk.bytes_transferred)}
            </Table.Td>
            <Table.Td ta="end" style={{ whiteSpace: 'nowrap' }}>
              {bytes(disk.size_bytes)}
            </Table.Td>
            <Table.Td ta="end" style={{ whiteSpace: 'nowrap' }}>
              {bytes(disk.stored_bytes)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  </Table.ScrollContainer>
)

const CopyTable = ({ copies }: { copies: Copy[] }) =>
  copies.length === 0 ? (
    <Text c="dimmed" size="sm">
      There is no copy of it in another repository.
    </Text>
  ) : (
    <Table.ScrollContainer minWidth={420} scrollAreaProps={{ viewportProps: { tabIndex: 0, 'aria-label': 'Copies' } }}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Repository</Table.Th>
            <Table.Th>Status</Table.Th>
            <Table.Th>Checked</Table.Th>
            <Table.Th ta="end">Size</Table.Th>
            <Table.Th>Made</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {copies.map((copy) => (
            <Table.Tr key={copy.id}>
              <Table.Td>{copy.repository_name}</Table.Td>
              <Table.Td>
                <Group gap={6}>
                  <StatusBadge status={copy.status} />
                  {copy.status === 'copying' && percent(copy.progress_percent)}
                </Group>
                {copy.error_message && <Text size="xs">{copy.error_message}</Text>}
              </Table.Td>
              <Table.Td>
                <StatusBadge
                  status={copy.verification_status === 'pending' ? 'unverified' : copy.verification_status}
                />
              </Table.Td>
              <Table.Td ta="end">{bytes(copy.size_bytes)}</Table.Td>
              <Table.Td>
                <Moment at={copy.copy_completed_at} relative />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )

const Damages = ({ backup }: { backup: BackupDetail }) =>
  backup.verify_state !== 'damaged' ? null : (
    <Alert color="red" title="Files of this restore point are damaged" role="alert" variant="light">
      <Text size="sm" mb="xs">
        It is not restored from and nothing builds on it. Heal it from a copy, or begin a new chain with a full backup.
      </Text>
      <List size="sm">
        {backup.damages.slice(0, 10).map((damage) => (
          <List.Item key={`${damage.file} ${damage.offset_bytes}`} style={{ overflowWrap: 'anywhere' }}>
            {damage.file}: {damage.detail}
          </List.Item>
        ))}
      </List>
    </Alert>
  )

const useActions = (backup: BackupDetail | undefined) => {
  const refresh = useRefresh()
  const navigate = useNavigate()
  const again = () => refresh('backup', 'backups', 'vms', 'vm', 'summary')
  if (!backup) return null
  const at = path(backup.backup_id)
  const attempt = (work: Promise<{ message?: string }>, done: string) =>
    void work.then(() => again().then(() => sayDone(done)), sayProblem)
  return {
    cancel: () =>
      confirm({
        title: 'Cancel this backup?',
        text: 'What it has written is removed. Earlier restore points stay as they are.',
        action: 'Cancel backup',
        work: async () => {
          await call('POST', `${at}/cancel`, { reason: 'by hand, in the console' })
          await again()
          return `The backup of ${backup.vm_name} is cancelled`
        },
      }),
    remove: () =>
      confirm({
        title: 'Delete this restore point?',
        text:
          backup.dependents_count > 0
            ? `${count(backup.dependents_count)} later restore points build on it and are deleted with it. This can not be undone.`
            : 'This can not be undone.',
        action: backup.dependents_count > 0 ? `Delete ${count(backup.dependents_count + 1)} restore points` : 'Delete',
        work: async () => {
          const { freed_bytes, deleted_backup_ids } = await call<{ freed_bytes: number; deleted_backup_ids: string[] }>(
            'DELETE',
            `${at}${backup.dependents_count > 0 ? '?cascade=true' : ''}`,
          )
          await again()
          void navigate({ to: '/vms/$id', params: { id: backup.vm_context_id ?? '' } })
          return `${count(deleted_backup_ids.length)} deleted, ${bytes(freed_bytes)} freed`
        },
      }),
    verify: () => attempt(call('POST', `${at}/verify`, {}), 'Its files are being checked'),
    stopVerify: () => attempt(call('DELETE', `${at}/verify`), 'The check is called off'),
    index: () => attempt(call('POST', `${at}/index`), 'Its files will be found in a moment'),
    heal: () => attempt(call('POST', `${at}/heal`, {}), 'It is being brought back from a copy'),
    protect: (isOn: boolean) =>
      attempt(
        call('PUT', `${at}/protection`, { protected: isOn }),
        isOn ? 'No policy takes it away now' : 'Policies decide about it again',
      ),
  }
}

/** Whether the files of a point can be searched, and what is to be seen of them. */
const Searchable = ({ backup, onIndex }: { backup: BackupDetail; onIndex: () => void }) => {
  const mayRun = useMay('operator')
  const { file_index: index } = backup
  if (backup.status !== 'completed') return '–'
  if (index?.status === 'completed')
    return (
      <>
        {count(index.entry_count)} files and folders,{' '}
        <Link to="/jobs/$id/changes" params={{ id: backup.backup_id }} style={{ color: 'inherit' }}>
          what changed
        </Link>
        {index.digests === 'pending' && ', contents are being read'}
        {index.digests === 'completed' && ', also by their SHA-256'}
        {index.error_message !== null && `. ${index.error_message}`}
      </>
    )
  if (index?.status === 'pending' || index?.status === 'running') return <StatusBadge status={index.status} />
  return (
    <Group gap="xs">
      {index?.error_message && <Text size="sm">{index.error_message}</Text>}
      <Button size="compact-xs" variant="default" disabled={!mayRun} onClick={onIndex}>
        Index its files
      </Button>
    </Group>
  )
}

const Job = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useBackup(id)
  const copies = useCopies(id)
  const repositories = useRepositories()
  const refresh = useRefresh()
  const mayRun = useMay('operator')
  const [isCopying, setCopying] = useState(false)
  const actions = useActions(query.data)
  const live = useLive().jobs.get(id)
  const backup = query.data
  const runs = backup && isRunning(live ?? backup)
  const isPoint = backup?.status === 'completed'
  const took =
    backup?.started_at && backup.completed_at
      ? (Date.parse(backup.completed_at) - Date.parse(backup.started_at)) / 1000
      : null
  return (
    <Page
      title={backup ? `${words(backup.backup_type)} backup of ${backup.vm_name}` : 'Backup'}
      text={
        backup && (
          <Group gap="sm">
            <StatusBadge status={(live ?? backup).status} />
            <span>{id}</span>
          </Group>
        )
      }
      actions={
        actions && (
          <>
            {runs && (
              <Button
                variant="default"
                leftSection={<IconX size={16} aria-hidden />}
                disabled={!mayRun}
                onClick={actions.cancel}
              >
                Cancel backup
              </Button>
            )}
            {isPoint && backup && (
              <>
                {backup.verify_state === 'damaged' && (
                  <Button
                    leftSection={<IconHeartbeat size={16} aria-hidden />}
                    disabled={!mayRun}
                    onClick={actions.heal}
                  >
                    Heal from a copy
                  </Button>
                )}
                <Button
                  variant="default"
                  leftSection={<IconCircleCheck size={16} aria-hidden />}
                  disabled={!mayRun}
                  onClick={backup.verification ? actions.stopVerify : actions.verify}
                >
                  {backup.verification ? 'Stop the check' : 'Verify'}
                </Button>
                <Button
                  variant="default"
                  leftSection={<IconCopy size={16} aria-hidden />}
                  disabled={!mayRun}
                  onClick={() => setCopying(true)}
                >
                  Copy
                </Button>
                <Button
                  variant="default"
                  leftSection={
                    backup.protected ? <IconShieldOff size={16} aria-hidden /> : <IconShield size={16} aria-hidden />
                  }
                  disabled={!mayRun}
                  onClick={() => actions.protect(!backup.protected)}
                >
                  {backup.protected ? 'Unprotect' : 'Protect'}
                </Button>
                <RestoreButton backup={backup} />
              </>
            )}
            {backup && !runs && (
              <Button
                variant="default"
                leftSection={<IconTrash size={16} aria-hidden />}
                disabled={!mayRun}
                onClick={actions.remove}
              >
                Delete
              </Button>
            )}
          </>
        )
      }
    >
      <Loaded query={query}>
        {(shown) => (
          <Stack gap="lg">
            {runs && <JobProgress job={shown} label={`Backup of ${shown.vm_name}`} />}
            {shown.error_message && (
              <Alert color="red" title="What went wrong" role="alert" variant="light">
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  {shown.error_message}
                </Text>
              </Alert>
            )}
            <Damages backup={shown} />
            {shown.verification && (
              <Panel title="Check of the files">
                <Progress.Root size="lg">
                  <Progress.Section
                    value={shown.verification.progress_percent}
                    animated
                    aria-label="Check of the files"
                  />
                </Progress.Root>
                <Text size="xs" c="dimmed" mt={4}>
                  {words(shown.verification.status)}, {percent(shown.verification.progress_percent)}
                </Text>
              </Panel>
            )}
            {shown.heal && (
              <Panel title="Healing">
                <Progress.Root size="lg">
                  <Progress.Section value={shown.heal.progress_percent} animated aria-label="Healing" />
                </Progress.Root>
                {shown.heal.error_message && <Text size="sm">{shown.heal.error_message}</Text>}
              </Panel>
            )}
            <Facts
              facts={[
                [
                  'Virtual machine',
                  shown.vm_context_id ? (
                    <Link key="vm" to="/vms/$id" params={{ id: shown.vm_context_id }} style={{ color: 'inherit' }}>
                      {shown.vm_name}
                    </Link>
                  ) : (
                    shown.vm_name
                  ),
                ],
                ['Repository', shown.repository_name],
                ['Began', <Moment key="b" at={shown.started_at ?? shown.created_at} />],
                ['Ended', <Moment key="e" at={shown.completed_at} />],
                ['Duration', took === null ? '–' : duration(took)],
                ['Transferred', bytes(shown.bytes_transferred)],
                ['Speed', took ? speed(shown.bytes_transferred / took) : '–'],
                ['Files', <StatusBadge key="v" status={shown.verify_state} />],
                ['Checked', <Moment key="c" at={shown.verified_at} relative />],
                [
                  'Builds on',
                  shown.parent_backup_id ? (
                    <Link key="p" to="/jobs/$id" params={{ id: shown.parent_backup_id }} style={{ color: 'inherit' }}>
                      {shown.parent_backup_id}
                    </Link>
                  ) : (
                    'Nothing, it is a full'
                  ),
                ],
                ['Search', <Searchable key="s" backup={shown} onIndex={() => actions?.index()} />],
                ['Protected', shown.protected ? 'Yes, no policy takes it away' : 'No'],
                ['Immutable until', <Moment key="l" at={shown.locked_until} />],
              ]}
            />
            <Panel title="Disks">
              <Disks backup={shown} />
            </Panel>
            {isPoint && (
              <Panel title="Copies">
                <Loaded query={copies}>{(rows) => <CopyTable copies={rows} />}</Loaded>
              </Panel>
            )}
          </Stack>
        )}
      </Loaded>
      {isCopying && backup && (
        <FormDialog
          title={`Copy this restore point of ${backup.vm_name}`}
          action="Copy"
          fields={[
            {
              name: 'repository_id',
              label: 'To repository',
              kind: 'select',
              required: true,
              options: options(repositories.data?.filter((row) => row.enabled && row.id !== backup.repository_id)),
              description: 'What it builds on goes with it: the copy stands alone.',
            },
            { name: 'verify_after_copy', label: 'Check the copy when it is done', kind: 'switch' },
          ]}
          initial={{ repository_id: null, verify_after_copy: true }}
          submit={async (values) => {
            await call('POST', `${path(id)}/copy`, values)
            await refresh('backup')
            return 'The copy is under way'
          }}
          onClose={() => setCopying(false)}
        />
      )}
    </Page>
  )
}
export default Job
