/** Asks for what opens encrypted volumes, and opens the restore point with it. The hub keeps none of it. */
import { Button, FileInput, Group, Modal, PasswordInput, Stack, Text } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import type { Mount, Secret } from '../api/types.ts'
import { Problem } from '../components/Problem.tsx'
import { useAttempt } from '../lib/use-attempt.ts'
import { openMount, type Target } from './use-mount.ts'

const keyFileBytesMax = 64 * 1024

const toBase64 = async (file: File): Promise<string> => {
  const bytes = new Uint8Array(await file.arrayBuffer())
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}

export const UnlockDialog = ({
  target,
  before = async () => undefined,
  onOpen,
  onClose,
}: {
  target: Target
  /** What is done first: closing the mount that is open without them. */
  before?: () => Promise<unknown>
  onOpen: (mount: Mount) => void
  onClose: () => void
}) => {
  const [password, setPassword] = useState('')
  const [keyFile, setKeyFile] = useState<File | null>(null)
  const { attempt, busy, error } = useAttempt()
  const tooLarge = keyFile !== null && keyFile.size > keyFileBytesMax
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    attempt(async () => {
      const secrets: Secret[] = [
        ...(password === '' ? [] : [{ password }]),
        ...(keyFile === null ? [] : [{ key_file: await toBase64(keyFile) }]),
      ]
      await before()
      onOpen(await openMount(target, secrets))
    })
  }
  return (
    <Modal opened onClose={onClose} title="Unlock encrypted volumes" closeOnClickOutside={false}>
      <form onSubmit={onSubmit}>
        <Stack>
          <Text size="sm">
            What you give is tried on every encrypted volume of this restore point, and kept nowhere.
          </Text>
          <PasswordInput
            label="Password"
            autoComplete="off"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            data-autofocus
          />
          <FileInput
            label="Key file"
            description="Where the guest unlocks with a file instead."
            placeholder="Pick a file"
            value={keyFile}
            onChange={setKeyFile}
            error={tooLarge ? 'Key files of more than 64 KiB are not taken' : undefined}
            clearable
          />
          {error !== null && <Problem error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={busy} disabled={(password === '' && keyFile === null) || tooLarge}>
              Unlock
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
