/** The hub's HTTP API, as far as a command needs it. */
import type { ErrorBody } from '../contract/errors.ts'
import { Failure } from './failure.ts'
import { readSession, type Session } from './session.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers are shown as they come
export type Json = any
type Query = Record<string, string | number | boolean | undefined>

export const withQuery = (path: string, query: Query): string => {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  )
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`
}

const refusal = async (response: Response): Promise<Failure> => {
  const body = (await response.json().catch(() => undefined)) as ErrorBody | undefined
  if (body?.code === undefined) return new Failure('refused', `The hub answered ${response.status}`)
  const fields = body.fields.map(({ field, message }) => `\n  ${field} ${message}`).join('')
  const text = `${body.error}${body.details ? ` (${body.details})` : ''} [${body.code}]${fields}`
  return new Failure(response.status === 401 ? 'unauthenticated' : 'refused', text)
}

const send = async ({ url, token }: Session, method: string, path: string, body?: object): Promise<Response> => {
  let response: Response
  try {
    response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { Authorization: `Bearer ${token}` }),
        ...(body ? { 'Content-Type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  } catch (error) {
    const cause = (error as Error).cause as Error | undefined
    throw new Failure('unreachable', `The hub at ${url} does not answer: ${cause?.message ?? (error as Error).message}`)
  }
  if (!response.ok) throw await refusal(response)
  return response
}

/** Nobody is logged in yet. */
export const logIn = async (url: string, username: string, password: string): Promise<Json> =>
  (await send({ url, token: '' }, 'POST', '/auth/login', { username, password })).json()

/** @throws Failure */
export const call = async (method: string, path: string, body?: object): Promise<Json> =>
  (await send(await readSession(), method, path, body)).json()
/** @throws Failure */
export const open = async (path: string, body?: object): Promise<Response> =>
  send(await readSession(), body ? 'POST' : 'GET', path, body)

/** The one thing of a list that has this id or this name. @throws Failure */
export const named = (things: Json[], what: string, name: string): Json => {
  const found = things.find((thing) => thing.id === name) ?? things.find((thing) => thing.name === name)
  if (!found)
    throw new Failure(
      'refused',
      `There is no ${what} ${name}. There is: ${things.map((thing) => thing.name).join(', ')}`,
    )
  return found
}
export const repositoryNamed = async (name: string): Promise<Json> =>
  named((await call('GET', '/repositories')).repositories, 'repository', name)
