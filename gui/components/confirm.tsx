import { Text } from '@mantine/core'
import { modals } from '@mantine/modals'
import type { ReactNode } from 'react'
import { sayDone, sayProblem } from './say.ts'

/** Asks before something is lost. `work` says what was done. */
export const confirm = ({
  title,
  text,
  action,
  work,
}: {
  title: string
  text: ReactNode
  action: string
  work: () => Promise<string>
}) =>
  modals.openConfirmModal({
    title,
    children: (
      <Text size="sm" component="div">
        {text}
      </Text>
    ),
    labels: { confirm: action, cancel: 'Cancel' },
    confirmProps: { color: 'red.9' },
    onConfirm: () => void work().then(sayDone, sayProblem),
  })
