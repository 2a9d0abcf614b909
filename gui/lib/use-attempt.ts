/** Work that a person asked for: whether it is under way, and what it ended with. */
import { useState } from 'react'

/** @returns `error` is null until an attempt has failed, and again once the next one begins */
export const useAttempt = () => {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const attempt = async (work: () => Promise<unknown>) => {
    setBusy(true)
    setError(null)
    try {
      await work()
    } catch (refused) {
      setError(refused)
    } finally {
      setBusy(false)
    }
  }
  return { attempt: (work: () => Promise<unknown>) => void attempt(work), busy, error }
}
