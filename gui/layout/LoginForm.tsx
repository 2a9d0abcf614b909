import { Button, PasswordInput, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import type { z } from 'zod'
import type { loginAnswer } from '../../contract/api/auth.ts'
import { call } from '../api/client.ts'
import { session } from '../api/session.ts'
import { Problem } from '../components/Problem.tsx'
import { useAttempt } from '../lib/use-attempt.ts'

export const LoginForm = ({ username: known }: { username?: string }) => {
  const [username, setUsername] = useState(known ?? '')
  const [password, setPassword] = useState('')
  const { attempt, busy, error } = useAttempt()
  const submit = async () => {
    const { user, expires_at } = await call<z.infer<typeof loginAnswer>>('POST', '/auth/login', {
      username,
      password,
      cookie: true,
    })
    session.begin(user, expires_at)
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    attempt(submit)
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack gap="md">
        <TextInput
          label="User name"
          name="username"
          autoComplete="username"
          required
          withAsterisk={false}
          value={username}
          readOnly={known !== undefined}
          onChange={(event) => setUsername(event.currentTarget.value)}
          data-autofocus={known === undefined || undefined}
        />
        <PasswordInput
          label="Password"
          name="password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          data-autofocus={known !== undefined || undefined}
        />
        {error !== null && <Problem error={error} />}
        <Button type="submit" loading={busy} fullWidth>
          Log in
        </Button>
      </Stack>
    </form>
  )
}
