/** From a restore point to its files: one click where there is one disk, two where there are several. */
import { ActionIcon, Button, Group, Menu, Tooltip } from '@mantine/core'
import { IconFolderOpen } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { get } from '../api/client.ts'
import { useMay } from '../api/session.ts'
import type { Backup, BackupDetail } from '../api/types.ts'
import { bytes } from '../lib/format.ts'
import { UnlockDialog } from './UnlockDialog.tsx'
import { useMountTarget } from './use-mount.ts'

export const RestoreButton = ({
  backup,
  compact = false,
}: {
  backup: Pick<Backup, 'backup_id' | 'disk_count' | 'merging_into'>
  compact?: boolean
}) => {
  const mayRestore = useMay('operator')
  const mount = useMountTarget()
  const [isOpen, setOpen] = useState(false)
  const detail = useQuery({
    queryKey: ['backup', backup.backup_id],
    queryFn: ({ signal }) => get<BackupDetail>(`/backups/${encodeURIComponent(backup.backup_id)}`, signal),
    enabled: isOpen,
  })
  const isOff = !mayRestore || backup.merging_into !== null
  const open = (diskIndex?: number) => mount.mutate({ backupId: backup.backup_id, diskIndex })
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
  return (
    <>
      {backup.disk_count <= 1 ? (
        button(() => open())
      ) : (
        <Menu opened={isOpen} onChange={setOpen} position="bottom-end" withinPortal>
          <Menu.Target>{button()}</Menu.Target>
          <Menu.Dropdown>
            <Menu.Item onClick={() => open()}>The whole machine, {backup.disk_count} disks</Menu.Item>
            <Menu.Label>Or one disk alone</Menu.Label>
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
      )}
      {mount.locked && (
        <UnlockDialog target={mount.locked} onOpen={(opened) => void mount.goTo(opened)} onClose={mount.closeLocked} />
      )}
    </>
  )
}
