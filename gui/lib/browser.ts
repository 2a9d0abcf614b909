/** What the browser itself is asked for. */
import { ApiError, apiUrl, type Problem } from '../api/client.ts'
import { session } from '../api/session.ts'

/**
 * A download by the browser itself: nothing of it passes through the page. Asked for by its headers first, so that a refusal is told here and is no broken
 * file in the downloads.
 * @throws ApiError
 */
export const download = async (path: string): Promise<void> => {
  const url = apiUrl(path)
  const abort = new AbortController()
  const look = () => fetch(url, { method: 'HEAD', credentials: 'same-origin', signal: abort.signal })
  let head = await look()
  if (head.status === 401) {
    await session.untilLoggedInAgain()
    head = await look()
  }
  if (!head.ok) {
    // HEAD answers carry no text; the same request with GET says why.
    const response = await fetch(url, { credentials: 'same-origin' })
    const problem = (await response.json()) as Problem
    throw new ApiError(response.status, problem)
  }
  const link = document.createElement('a')
  link.href = url
  link.download = ''
  document.body.append(link)
  link.click()
  link.remove()
}

/** Keeps text in the clipboard. @returns whether the browser allowed it */
export const copyText = async (text: string): Promise<boolean> => {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
