import { Card, SimpleGrid, Text } from '@mantine/core'
import type { ReactNode } from 'react'

/** What is to be known of one thing, as pairs. */
export const Facts = ({ facts }: { facts: [label: string, value: ReactNode][] }) => (
  <SimpleGrid cols={{ base: 2, sm: 3, lg: 4 }} component="dl" m={0} spacing="sm">
    {facts.map(([label, value]) => (
      <Card key={label} withBorder padding="sm" style={{ minWidth: 0 }}>
        <Text component="dt" size="xs" c="dimmed">
          {label}
        </Text>
        <Text component="dd" m={0} size="sm" style={{ overflowWrap: 'anywhere' }}>
          {value}
        </Text>
      </Card>
    ))}
  </SimpleGrid>
)
