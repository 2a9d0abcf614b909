/** Lets nobody in who has not logged in. A login that ends over an open page is asked for again above it: nothing on the page is lost. */
import { Center, Loader, Modal, Paper, Stack, Text, Title } from '@mantine/core'
import type { QueryClient } from '@tanstack/react-query'
import { type ReactNode, useEffect, useState } from 'react'
import type { z } from 'zod'
import type { meAnswer } from '../../contract/api/auth.ts'
import { ApiError, call } from '../api/client.ts'
import { useLiveEvents } from '../api/live.ts'
import { session, useSession } from '../api/session.ts'
import { Problem } from '../components/Problem.tsx'
import { sayProblem } from '../components/say.ts'
import { LoginForm } from './LoginForm.tsx'
import { Logo } from './Logo.tsx'

/** Before its end a session is announced to end. */
const warnMs = 5 * 60_000

const LoginPage = () => {
  useEffect(() => {
    document.title = 'Log in · Sendense Hub'
  }, [])
  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper withBorder p="xl" w="100%" maw={400}>
        <Stack gap="lg">
          <Logo />
          <Title order={1} size="h3">
            Log in
          </Title>
          <LoginForm />
        </Stack>
      </Paper>
    </Center>
  )
}

export const SessionGate = ({ client, children }: { client: QueryClient; children: ReactNode }) => {
  const now = useSession()
  const [failure, setFailure] = useState<unknown>(null)
  const look = () => {
    setFailure(null)
    call<z.infer<typeof meAnswer>>('GET', '/auth/me').then(
      ({ user, expires_at }) => session.begin(user, expires_at),
      (error: unknown) => (error instanceof ApiError && error.status === 401 ? session.leave() : setFailure(error)),
    )
  }
  useEffect(look, [])
  useLiveEvents(client, now.status === 'active')

  const expiresAt = 'expiresAt' in now ? now.expiresAt : null
  useEffect(() => {
    if (expiresAt === null) return
    // Browsers count no further in one go.
    const after = (ms: number, work: () => void) => (ms < 2 ** 31 ? window.setTimeout(work, Math.max(0, ms)) : 0)
    const left = expiresAt - Date.now()
    const timers = [
      after(left - warnMs, () =>
        sayProblem(
          new Error(
            `Your login ends at ${new Date(expiresAt).toLocaleTimeString()}. You will be asked for your password then; nothing on the page is lost.`,
          ),
        ),
      ),
      after(left, () => void session.untilLoggedInAgain()),
    ]
    return () => timers.forEach(clearTimeout)
  }, [expiresAt])

  if (now.status === 'unknown')
    return (
      <Center component="main" mih="100dvh" p="md">
        {failure === null ? <Loader aria-label="Loading" /> : <Problem error={failure} onRetry={look} />}
      </Center>
    )
  if (now.status === 'none') return <LoginPage />
  return (
    <>
      {children}
      {'user' in now && now.status === 'ended' && (
        <Modal
          opened
          onClose={() => undefined}
          withCloseButton={false}
          closeOnEscape={false}
          closeOnClickOutside={false}
          title="Your login has ended"
          zIndex={1000}
        >
          <Stack>
            <Text size="sm">Log in again to go on. What you have written on the page is still there.</Text>
            <LoginForm username={now.user.username} />
          </Stack>
        </Modal>
      )}
    </>
  )
}
