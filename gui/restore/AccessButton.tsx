/** The mount in a file manager or a script, over WebDAV or SFTP: its address and a password of its own. */
import { ActionIcon, Button, Group, Modal, Stack, Text, TextInput, Tooltip } from '@mantine/core'
import { IconCopy, IconFolderSymlink } from '@tabler/icons-react'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useMay } from '../api/session.ts'
import type { Access } from '../api/types.ts'
import { sayDone, sayProblem } from '../components/say.ts'
import { copyText } from '../lib/browser.ts'
import { dateTime } from '../lib/format.ts'

const Copied = ({ label, value, description }: { label: string; value: string; description?: string }) => (
  <TextInput
    label={label}
    description={description}
    value={value}
    readOnly
    rightSection={
      <Tooltip label={`Copy ${label.toLowerCase()}`}>
        <ActionIcon
          variant="subtle"
          aria-label={`Copy ${label.toLowerCase()}`}
          onClick={() => void copyText(value).then((isCopied) => isCopied && sayDone('Copied'))}
        >
          <IconCopy size={16} aria-hidden />
        </ActionIcon>
      </Tooltip>
    }
  />
)

export const AccessButton = ({ mountId }: { mountId: string }) => {
  const mayOpen = useMay('operator')
  const [access, setAccess] = useState<Access | null>(null)
  const [isAsking, setAsking] = useState(false)
  const ask = async () => {
    setAsking(true)
    await call<Access>('POST', `/restore/${encodeURIComponent(mountId)}/access`).then(setAccess, sayProblem)
    setAsking(false)
  }
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconFolderSymlink size={16} aria-hidden />}
        loading={isAsking}
        disabled={!mayOpen}
        onClick={() => void ask()}
      >
        File manager
      </Button>
      {access && (
        <Modal opened onClose={() => setAccess(null)} title="Open in a file manager">
          <Stack>
            <Text size="sm">
              Connect to one of these addresses. It can be read, not written, and is good for this mount alone, until{' '}
              {dateTime(access.expires_at)} at the latest.
            </Text>
            <Copied label="WebDAV" value={new URL(access.url, location.href).href} />
            {access.sftp && (
              <Copied
                label="SFTP"
                value={`sftp://${access.username}@${location.hostname}:${access.sftp.port}`}
                description={`The host's key is ${access.sftp.host_key}`}
              />
            )}
            <Copied label="User" value={access.username} />
            <Copied label="Password" value={access.password} />
            <Group justify="flex-end">
              <Button onClick={() => setAccess(null)}>Done</Button>
            </Group>
          </Stack>
        </Modal>
      )}
    </>
  )
}
