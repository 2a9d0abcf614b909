/** Calls of the hub's API from its own pages; the browser's cookie says who calls. */
import type { z } from 'zod'
import type { errorAnswer } from '../../contract/api/common.ts'
import { session } from './session.ts'

export type Problem = z.infer<typeof errorAnswer>
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** What the hub refused, in its own words; `code` is stable. `status` 0: nobody answered. */
export class ApiError extends Error {
  readonly status: number
  readonly problem: Problem
  constructor(status: number, problem: Problem) {
    super(problem.error)
    this.status = status
    this.problem = problem
  }
  get code() {
    return this.problem.code
  }
  get details() {
    return this.problem.details
  }
  /** By field, of a form that was refused. */
  get fieldErrors(): Record<string, string> {
    return Object.fromEntries(this.problem.fields.map(({ field, message }) => [field, message]))
  }
}

const ownProblem = (code: string, error: string, details: string): Problem => ({
  success: false,
  error,
  details,
  code,
  timestamp: new Date().toISOString(),
  request_id: '',
  fields: [],
})
const unreachable = () =>
  new ApiError(
    0,
    ownProblem(
      'UNREACHABLE',
      'The hub does not answer',
      'It may be restarting, or the network is down. Nothing is lost; try again.',
    ),
  )
const problemOf = async (response: Response): Promise<ApiError> => {
  const text = await response.text()
  try {
    const problem = JSON.parse(text) as Problem
    if (typeof problem.code === 'string') return new ApiError(response.status, problem)
  } catch {
    // Not the hub's own answer: a proxy's, say.
  }
  return new ApiError(
    response.status,
    ownProblem('UNREACHABLE', 'The hub could not be reached', `something before it answered ${response.status}`),
  )
}

export type Query = Record<string, string | number | boolean | null | undefined>
/** @returns the path below /api/v1 with what is given of the query */
export const withQuery = (path: string, query: Query): string => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '')
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return text === '' ? path : `${path}?${text}`
}
export const apiUrl = (path: string) => `/api/v1${path}`

const send = async (method: Method, path: string, body: unknown, signal?: AbortSignal): Promise<Response> => {
  try {
    return await fetch(apiUrl(path), {
      method,
      credentials: 'same-origin',
      ...(signal ? { signal } : {}),
      ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw unreachable()
  }
}

/**
 * One call. When the login has ended meanwhile, it waits until somebody has logged in again, and is made once more: a form loses nothing.
 * @throws ApiError
 */
export const call = async <T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<T> => {
  for (;;) {
    const response = await send(method, path, body, signal)
    if (response.ok) return (await response.json()) as T
    const error = await problemOf(response)
    const isLoginGone = ['UNAUTHENTICATED', 'TOKEN_INVALID', 'TOKEN_EXPIRED'].includes(error.code)
    if (!isLoginGone || path.startsWith('/auth/')) throw error
    await session.untilLoggedInAgain()
    signal?.throwIfAborted()
  }
}
export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, signal)
