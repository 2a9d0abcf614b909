/** Short words about what has been done or refused, in the corner. */
import { notifications } from '@mantine/notifications'
import { ApiError } from '../api/client.ts'

export const sayDone = (message: string) => notifications.show({ message, color: '#1e7534', withBorder: true })
export const sayProblem = (error: unknown) =>
  notifications.show({
    title: error instanceof Error ? error.message : 'The page made an error',
    message: error instanceof ApiError ? `${error.details}${error.details ? ' · ' : ''}${error.code}` : String(error),
    color: 'red.9',
    withBorder: true,
    autoClose: 12_000,
  })
