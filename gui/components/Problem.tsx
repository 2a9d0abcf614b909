import { Alert, Button, Code, Group, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { ApiError } from '../api/client.ts'

/** What went wrong, in the hub's own sentence, with its code, and a way on. */
export const Problem = ({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) => {
  const isOurs = error instanceof ApiError
  return (
    <Alert
      color="red"
      icon={<IconAlertTriangle aria-hidden />}
      title={isOurs ? error.message : 'The page made an error'}
      role="alert"
      variant="light"
      styles={{ title: { color: 'var(--mantine-color-text)' }, message: { color: 'var(--mantine-color-text)' } }}
    >
      <Stack gap="xs" align="flex-start">
        {isOurs && error.details !== '' && <Text size="sm">{error.details}</Text>}
        {!isOurs && <Text size="sm">{String(error)}</Text>}
        <Group gap="sm">
          {onRetry && (
            <Button size="xs" variant="default" onClick={onRetry}>
              Try again
            </Button>
          )}
          {isOurs && <Code>{error.code}</Code>}
          {isOurs && error.problem.request_id !== '' && (
            <Text size="xs" c="dimmed">
              request {error.problem.request_id}
            </Text>
          )}
        </Group>
      </Stack>
    </Alert>
  )
}
