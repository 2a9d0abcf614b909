/** The files of a restore point. The URL names mount, partition and folder. */
import { Alert, Anchor, Badge, Breadcrumbs, Button, Group, Select, Stack, Tabs, Text } from '@mantine/core'
import { IconClockPlus, IconX } from '@tabler/icons-react'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { get, withQuery } from '../api/client.ts'
import { useMount, useMounts, useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Mount, Partition } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Page } from '../components/Page.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { bytes, dateTime } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { AccessButton } from '../restore/AccessButton.tsx'
import { Countdown } from '../restore/Countdown.tsx'
import { closeMount } from '../restore/close-mount.ts'
import { Folder } from '../restore/Folder.tsx'
import { Locked } from '../restore/Locked.tsx'

const nameOf = ({ number, kind, name, label }: Partition) => {
  if (kind === 'guest') return 'The machine as it saw itself'
  if (kind === 'whole_disk') return label || (name.startsWith('disk') ? `Whole ${name}` : 'Whole disk')
  // Those within others have names of their own, which say more than a label.
  return kind === 'partition' ? label || name || `Partition ${number}` : name
}
const partitionLabel = (partition: Partition) => {
  const { kind, filesystem, size_bytes, guest_path, reason, mounted } = partition
  return [
    nameOf(partition),
    ...(guest_path !== null && kind !== 'guest' ? [guest_path] : []),
    filesystem,
    ...(kind === 'guest' ? [] : [bytes(size_bytes)]),
    ...(mounted ? [] : [reason ?? 'can not be opened']),
  ]
    .filter(Boolean)
    .join(' · ')
}
/** Who parses the filesystem, which decides what a hostile one could reach. */
const readBy: Record<NonNullable<Partition['reader']>, string> = {
  sandbox: 'Read in a sandbox without rights',
  machine: 'Read in a throw-away machine',
  host: 'Read by the kernel of this host',
}
/** Of a name from right to left, with what follows it from left to right. */
const isolated = (name: string) => `\u2068${name}\u2069`
const disksInWords = ({ all_disks, disk_index }: Pick<Mount, 'all_disks' | 'disk_index'>) =>
  all_disks ? 'whole machine' : `disk ${disk_index}`

/** `db-01, Debian GNU/Linux 12, started on 3 March`. */
const systemInWords = ({ os, hostname, booted_at }: NonNullable<Mount['guest']>) =>
  [hostname, os, ...(booted_at === null ? [] : [`started ${dateTime(booted_at)}`])].filter(Boolean).join(', ')

/** Mounts side by side: one click from one to the other. */
const OpenMounts = ({ id }: { id: string }) => {
  const { data } = useMounts()
  const navigate = useNavigate()
  if (!data || data.mounts.length < 2) return null
  return (
    <Tabs value={id} onChange={(next) => next && void navigate({ to: '/restore/$id', params: { id: next } })}>
      <Tabs.List aria-label="Open mounts">
        {data.mounts.map(({ mount_id, vm_name, disk_index, all_disks }) => (
          <Tabs.Tab key={mount_id} value={mount_id}>
            <bdi>{vm_name.length > 30 ? `${vm_name.slice(0, 29)}…` : vm_name}</bdi>,{' '}
            {disksInWords({ all_disks, disk_index })}
          </Tabs.Tab>
        ))}
      </Tabs.List>
    </Tabs>
  )
}

const Path = ({ path, onGo }: { path: string; onGo: (path: string) => void }) => {
  const names = path.split('/').filter((name) => name !== '')
  const items = [
    { name: 'Root', path: '/' },
    ...names.map((name, at) => ({ name, path: `/${names.slice(0, at + 1).join('/')}` })),
  ]
  return (
    <Breadcrumbs component="nav" aria-label="Folder" separatorMargin={6} style={{ flexWrap: 'wrap', rowGap: 4 }}>
      {items.map((item, at) =>
        at === items.length - 1 ? (
          <Text key={item.path} fw={600} aria-current="location" style={{ overflowWrap: 'anywhere' }}>
            <bdi>{item.name}</bdi>
          </Text>
        ) : (
          <Anchor key={item.path} component="button" type="button" onClick={() => onGo(item.path)}>
            <bdi>{item.name}</bdi>
          </Anchor>
        ),
      )}
    </Breadcrumbs>
  )
}

const Disk = ({ mount }: { mount: Mount }) => {
  const [url, setUrl] = useUrlState()
  const partitions = mount.partitions
  const usable = partitions.filter(({ mounted }) => mounted)
  const chosen = Number(url.partition ?? mount.default_partition)
  const partition = usable.find(({ number }) => number === chosen) ?? usable[0]
  const path = url.path ?? '/'
  if (!partition)
    return (
      <Empty
        title="Nothing here can be opened"
        text={
          partitions.map(({ number, reason }) => `Partition ${number}: ${reason ?? 'unknown'}`).join('. ') ||
          'The disk holds no filesystem.'
        }
      />
    )
  return (
    <Stack gap="sm">
      <Group gap="md" align="flex-end">
        <Select
          label="Volume"
          description={partition.reader === null ? undefined : readBy[partition.reader]}
          data={partitions.map((one) => ({
            value: String(one.number),
            label: partitionLabel(one),
            disabled: !one.mounted,
          }))}
          value={String(partition.number)}
          onChange={(value) => value !== null && setUrl({ partition: value, path: '', b64: '', q: '' })}
          allowDeselect={false}
          w={{ base: '100%', sm: 420 }}
        />
        {partition.journal === 'not_replayed' && (
          <Badge color="#a83c0a" tt="none">
            Journal not replayed
          </Badge>
        )}
      </Group>
      <Path path={path} onGo={(next) => setUrl({ path: next === '/' ? '' : next, b64: '', q: '' })} />
      <Folder
        key={`${mount.mount_id} ${partition.number} ${url.b64 ?? path}`}
        mountId={mount.mount_id}
        partition={partition.number}
        path={path}
        pathB64={url.b64}
      />
    </Stack>
  )
}

const Browser = () => {
  const { id } = useParams({ strict: false }) as { id: string }
  const query = useMount(id)
  const refresh = useRefresh()
  const navigate = useNavigate()
  const mayClose = useMay('operator')
  const mount = query.data
  const keepOpen = () =>
    get(withQuery(`/restore/${encodeURIComponent(id)}/files`, { path: '/', limit: 1 })).then(
      () => refresh('mounts').then(() => sayDone('The mount stays open for its full time from now on')),
      sayProblem,
    )
  const left = mount ? Date.parse(mount.expires_at) - Date.now() : Number.POSITIVE_INFINITY
  return (
    <Page
      title={mount ? `${isolated(mount.vm_name)}, ${disksInWords(mount)}` : 'Restore point'}
      text={
        mount && (
          <Group gap="sm">
            <span>Read-only</span>
            {mount.guest && <span>{systemInWords(mount.guest)}</span>}
            <Anchor component={Link} to={`/jobs/${encodeURIComponent(mount.backup_id)}`}>
              {mount.backup_id}
            </Anchor>
            <Countdown mount={mount} />
          </Group>
        )
      }
      actions={
        mount && (
          <>
            <Button
              variant="default"
              leftSection={<IconClockPlus size={16} aria-hidden />}
              onClick={() => void keepOpen()}
            >
              Keep open
            </Button>
            <AccessButton mountId={id} />
            <Button
              variant="default"
              leftSection={<IconX size={16} aria-hidden />}
              disabled={!mayClose}
              onClick={() =>
                confirm({
                  title: 'Close this mount?',
                  text: 'Downloads that are under way end. The restore point itself stays as it is.',
                  action: 'Close',
                  work: async () => {
                    const done = await closeMount(mount)
                    await refresh('mounts')
                    void navigate({ to: '/restore' })
                    return done
                  },
                })
              }
            >
              Close
            </Button>
          </>
        )
      }
    >
      <OpenMounts id={id} />
      {mount && left < 5 * 60_000 && left > 0 && (
        <Alert color="orange" variant="light" title="This mount closes soon" role="alert">
          Nobody has used it for a while. Open a folder or choose Keep open to go on.
        </Alert>
      )}
      <Loaded query={query}>
        {(now) =>
          now.status === 'mounting' ? (
            <Text role="status">Opening the disk…</Text>
          ) : now.status === 'failed' ? (
            <Empty title="The disk could not be opened" text={now.error_message ?? ''} />
          ) : (
            <>
              <Locked mount={now} />
              <Disk mount={now} />
            </>
          )
        }
      </Loaded>
      {query.error && !mount && (
        <Button component={Link} to="/restore" variant="default" style={{ alignSelf: 'flex-start' }}>
          Open a restore point
        </Button>
      )}
    </Page>
  )
}
export default Browser
