/** Volumes that nobody has opened yet, and a way to do it. */
import { Alert, Button, Group, Text } from '@mantine/core'
import { IconLock } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ApiError } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import { useMay } from '../api/session.ts'
import type { Mount } from '../api/types.ts'
import { closeMount } from './close-mount.ts'
import { UnlockDialog } from './UnlockDialog.tsx'

export const Locked = ({ mount }: { mount: Mount }) => {
  const mayUnlock = useMay('operator')
  const navigate = useNavigate()
  const refresh = useRefresh()
  const [isAsking, setAsking] = useState(false)
  const count = mount.partitions.filter(({ locked }) => locked).length
  if (count === 0) return null
  return (
    <Alert variant="light" icon={<IconLock aria-hidden />} title="Encrypted" mb="sm">
      <Group justify="space-between" gap="sm">
        <Text size="sm">
          {count === 1 ? 'A volume is encrypted' : `${count} volumes are encrypted`}. What opens{' '}
          {count === 1 ? 'it' : 'them'} in the machine opens {count === 1 ? 'it' : 'them'} here.
        </Text>
        <Button size="xs" disabled={!mayUnlock} onClick={() => setAsking(true)}>
          Unlock
        </Button>
      </Group>
      {isAsking && (
        <UnlockDialog
          target={{ backupId: mount.backup_id, diskIndex: mount.all_disks ? undefined : mount.disk_index }}
          before={() => closeMount(mount).catch(isGoneAlready)}
          onOpen={async ({ mount_id }) => {
            setAsking(false)
            await refresh('mounts')
            void navigate({ to: '/restore/$id', params: { id: mount_id }, replace: true })
          }}
          onClose={() => setAsking(false)}
        />
      )}
    </Alert>
  )
}
/** A first try may have closed it. */
const isGoneAlready = (error: unknown) => {
  if (!(error instanceof ApiError && error.status === 404)) throw error
}
