import { Text } from '@mantine/core'
import { useEffect, useState } from 'react'
import type { Mount } from '../api/types.ts'
import { duration } from '../lib/format.ts'

/** Counts down to when an idle mount is closed. */
export const Countdown = ({ mount }: { mount: Pick<Mount, 'expires_at'> }) => {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  const left = (Date.parse(mount.expires_at) - now) / 1000
  return (
    <Text
      size="sm"
      role="timer"
      fw={left < 300 ? 700 : undefined}
      style={{ whiteSpace: 'nowrap', fontVariantNumeric: 'tabular-nums' }}
    >
      {left <= 0 ? 'closing' : `closes in ${duration(left < 60 ? left : Math.round(left / 10) * 10)}`}
    </Text>
  )
}
