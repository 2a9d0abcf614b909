/** From a restore point to its files: one click where there is one disk, two where there are several. */
import { ActionIcon, Button, Group, Menu, Tooltip } from '@mantine/core'
import { IconFolderOpen } from '@tabler/icons-react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call, get } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Backup, BackupDetail, Mount, MountList } from '../api/types.ts'
import { sayProblem } from '../components/say.ts'
import { bytes } from '../lib/format.ts'

/** Opens a disk; one that is open already is gone to. */
export const useMountDisk = () => {
  const navigate = useNavigate()
  const refresh = useRefresh()
  return useMutation({
    mutationFn: async ({
      backupId,
      diskIndex,
    }: {
      backupId: string
      diskIndex: number
    }): Promise<{ mount_id: string }> => {
      const { mounts } = await get<MountList>('/restore/mounts')
      const open = mounts.find(
        (mount) => mount.backup_id === backupId && mount.disk_index === diskIndex && mount.status === 'mounted',
      )
      return open ?? call<Mount>('POST', '/restore/mount', { backup_id: backupId, disk_index: diskIndex })
    },
    onSuccess: async ({ mount_id }) => {
      await refresh('mounts')
      void navigate({ to: '/restore/$id', params: { id: mount_id } })
    },
    onError: sayProblem,
  })
}

export const RestoreButton = ({
  backup,
  compact = false,
}: {
  backup: Pick<Backup, 'backup_id' | 'disk_count' | 'merging_into'>
  compact?: boolean
}) => {
  const mayRestore = useMay('operator')
  const mount = useMountDisk()
  const [isOpen, setOpen] = useState(false)
  const detail = useQuery({
    queryKey: ['backup', backup.backup_id],
    queryFn: ({ signal }) => get<BackupDetail>(`/backups/${encodeURIComponent(backup.backup_id)}`, signal),
    enabled: isOpen,
  })
  const isOff = !mayRestore || backup.merging_into !== null
  const open = (diskIndex: number) => mount.mutate({ backupId: backup.backup_id, diskIndex })
  const label = mount.isPending ? 'Opening' : 'Browse files'
  const button = (onClick?: () => void) =>
    compact ? (
      <Tooltip label={label}>
        <ActionIcon
          variant="default"
          size="lg"
          aria-label={label}
          loading={mount.isPending}
          disabled={isOff}
          onClick={onClick}
        >
          <IconFolderOpen size={18} aria-hidden />
        </ActionIcon>
      </Tooltip>
    ) : (
      <Button
        leftSection={<IconFolderOpen size={16} aria-hidden />}
        loading={mount.isPending}
        disabled={isOff}
        onClick={onClick}
      >
        {label}
      </Button>
    )
  if (backup.disk_count <= 1) return button(() => open(0))
  return (
    <Menu opened={isOpen} onChange={setOpen} position="bottom-end" withinPortal>
      <Menu.Target>{button()}</Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Which disk?</Menu.Label>
        {detail.data?.disks.map((disk) => (
          <Menu.Item key={disk.disk_index} onClick={() => open(disk.disk_index)}>
            <Group justify="space-between" gap="xl">
              <span>Disk {disk.disk_index}</span>
              <span>{bytes(disk.size_bytes)}</span>
            </Group>
          </Menu.Item>
        )) ?? <Menu.Item disabled>Loading</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  )
}
