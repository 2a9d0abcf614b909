import {
  ActionIcon,
  AppShell,
  Box,
  Burger,
  Button,
  Group,
  Kbd,
  Menu,
  NavLink,
  ScrollArea,
  Text,
  Tooltip,
  useMantineColorScheme,
} from '@mantine/core'
import { useDisclosure, useHotkeys } from '@mantine/hooks'
import { IconLogout, IconMoon, IconPassword, IconSearch, IconSun, IconUser, IconWifiOff } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { call } from '../api/client.ts'
import { useLive } from '../api/live.ts'
import { session, useMay, useSession } from '../api/session.ts'
import { Logo } from './Logo.tsx'
import { navigation } from './navigation.ts'

const CommandPalette = lazy(() => import('./CommandPalette.tsx'))

const SchemeButton = () => {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const isDark =
    colorScheme === 'dark' || (colorScheme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches)
  const label = isDark ? 'Light colours' : 'Dark colours'
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="default"
        size="lg"
        aria-label={label}
        onClick={() => setColorScheme(isDark ? 'light' : 'dark')}
      >
        {isDark ? <IconSun size={18} aria-hidden /> : <IconMoon size={18} aria-hidden />}
      </ActionIcon>
    </Tooltip>
  )
}

const UserMenu = () => {
  const now = useSession()
  const client = useQueryClient()
  const navigate = useNavigate()
  if (!('user' in now)) return null
  const logOut = async () => {
    await call('POST', '/auth/logout').catch(() => undefined)
    client.clear()
    session.leave()
  }
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button
          variant="default"
          leftSection={<IconUser size={16} aria-hidden />}
          px="sm"
          aria-label={`${now.user.display_name ?? now.user.username}, user menu`}
        >
          <Text span truncate maw={120} visibleFrom="sm" size="sm">
            {now.user.display_name ?? now.user.username}
          </Text>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {now.user.username}, {now.user.role}
        </Menu.Label>
        <Menu.Item leftSection={<IconPassword size={16} aria-hidden />} onClick={() => void navigate({ to: '/about' })}>
          Change password
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => void logOut()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

const Navigation = ({ onGo }: { onGo: () => void }) => {
  const path = useRouterState({ select: ({ location }) => location.pathname })
  const isAdmin = useMay('admin')
  return (
    <ScrollArea type="hover" scrollbarSize={8} h="100%">
      <Box component="nav" aria-label="Main" p="xs">
        {navigation.map(({ title, items }) => (
          <Box key={title} mb="xs">
            {title !== '' && (
              <Text size="xs" c="dimmed" fw={600} px="sm" py={4}>
                {title}
              </Text>
            )}
            {items
              .filter(({ role }) => role === undefined || isAdmin)
              .map(({ to, label, icon: Picture }) => {
                const isHere = to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`)
                return (
                  <NavLink
                    key={to}
                    component={Link}
                    to={to}
                    label={label}
                    active={isHere}
                    aria-current={isHere ? 'page' : undefined}
                    leftSection={<Picture size={18} stroke={1.6} aria-hidden />}
                    onClick={onGo}
                    variant="filled"
                    py={6}
                    style={{ borderRadius: 'var(--mantine-radius-md)' }}
                  />
                )
              })}
          </Box>
        ))}
      </Box>
    </ScrollArea>
  )
}

export const Shell = () => {
  const [isOpen, { toggle, close }] = useDisclosure()
  const [palette, setPalette] = useState(false)
  const { isConnected } = useLive()
  const [isLate, setLate] = useState(false)
  useEffect(() => {
    if (isConnected) return setLate(false)
    // A moment without events is nothing to speak of.
    const timer = setTimeout(() => setLate(true), 4000)
    return () => clearTimeout(timer)
  }, [isConnected])
  const openPalette = () => setPalette(true)
  // From a field that is being written in, too.
  useHotkeys([['mod+K', openPalette]], [], true)
  useHotkeys([
    ['/', () => (document.querySelector<HTMLInputElement>('[data-search]') ?? { focus: openPalette }).focus()],
  ])
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 232, breakpoint: 'md', collapsed: { mobile: !isOpen } }}
      padding={{ base: 'sm', sm: 'lg' }}
    >
      <a
        href="#content"
        style={{ position: 'absolute', left: -9999 }}
        onFocus={(event) => Object.assign(event.currentTarget.style, { left: '8px', top: '8px', zIndex: '999' })}
        onBlur={(event) => Object.assign(event.currentTarget.style, { left: '-9999px' })}
      >
        Skip to the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap" gap="xs">
          <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="md" size="sm" aria-label="Menu" />
            <Box visibleFrom="xs">
              <Logo />
            </Box>
          </Group>
          <Group gap="xs" wrap="nowrap">
            {isLate && (
              <Tooltip label="The hub does not answer at the moment. What you see may be old.">
                <Group gap={4} wrap="nowrap" role="status">
                  <IconWifiOff size={18} aria-hidden />
                  <Text size="sm" visibleFrom="sm">
                    Not connected
                  </Text>
                </Group>
              </Tooltip>
            )}
            <Button
              variant="default"
              leftSection={<IconSearch size={16} aria-hidden />}
              rightSection={<Kbd size="xs">Ctrl K</Kbd>}
              onClick={openPalette}
              visibleFrom="sm"
            >
              Go to
            </Button>
            <ActionIcon variant="default" size="lg" aria-label="Go to" onClick={openPalette} hiddenFrom="sm">
              <IconSearch size={18} aria-hidden />
            </ActionIcon>
            <SchemeButton />
            <UserMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        <Navigation onGo={close} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} style={{ outline: 'none' }}>
        <Box maw={1680} mx="auto">
          <Outlet />
        </Box>
      </AppShell.Main>
      {palette && (
        <Suspense>
          <CommandPalette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </AppShell>
  )
}
