import { Anchor, Text } from '@mantine/core'
import { Link, type LinkProps } from '@tanstack/react-router'

/** A name as a link: one line, whole on hover, in its own direction of writing. */
export const NameLink = ({ children, ...to }: { children: string } & LinkProps) => (
  <Anchor
    component={Link}
    {...(to as object)}
    title={children}
    fw={500}
    style={{ display: 'block', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}
  >
    <bdi>{children}</bdi>
  </Anchor>
)
export const Name = ({ children }: { children: string }) => (
  <Text span inherit truncate title={children} style={{ display: 'block' }}>
    <bdi>{children}</bdi>
  </Text>
)
