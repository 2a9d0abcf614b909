import { Alert, Button, Code, Group, Modal, Stack, Text } from '@mantine/core'
import { copyText } from '../lib/browser.ts'
import { sayDone } from './say.ts'

/** Shown once, and never again. */
export const Secret = ({
  title,
  text,
  value,
  onClose,
}: {
  title: string
  text: string
  value: string
  onClose: () => void
}) => (
  <Modal opened onClose={onClose} title={title} closeOnClickOutside={false}>
    <Stack>
      <Alert color="orange" variant="light" title="It is shown only now">
        <Text size="sm">{text}</Text>
      </Alert>
      <Code block style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>
        {value}
      </Code>
      <Group justify="flex-end">
        <Button
          variant="default"
          onClick={() => void copyText(value).then((isCopied) => isCopied && sayDone('Copied'))}
        >
          Copy
        </Button>
        <Button onClick={onClose}>I have kept it</Button>
      </Group>
    </Stack>
  </Modal>
)
