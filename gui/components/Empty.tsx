import { Stack, Text, ThemeIcon, Title } from '@mantine/core'
import { type Icon, IconInbox } from '@tabler/icons-react'
import type { ReactNode } from 'react'

/** Nothing is there yet: what it would be good for, and what to do next. */
export const Empty = ({
  title,
  text,
  icon: Picture = IconInbox,
  children,
}: {
  title: string
  text: string
  icon?: Icon
  children?: ReactNode
}) => (
  <Stack align="center" gap="sm" py={48} px="md">
    <ThemeIcon size={56} radius="xl" variant="light" color="gray">
      <Picture size={30} stroke={1.5} aria-hidden />
    </ThemeIcon>
    <Title order={2} size="h4" ta="center">
      {title}
    </Title>
    <Text c="dimmed" ta="center" maw={460}>
      {text}
    </Text>
    {children}
  </Stack>
)
