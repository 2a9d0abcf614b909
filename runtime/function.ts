/** What a function is: its shapes, the bindings it needs and its handler. One declaration gives validation, types and OpenAPI. */
import type { Readable } from 'node:stream'
import type { z } from 'zod'
import type { Role } from '../contract/api/auth.ts'
import type { ErrorCode } from '../contract/errors.ts'
import type { BindingName, Env } from './bindings/index.ts'

/** Who is calling. `open`: nobody has to say. */
export type Caller =
  | { kind: 'open' }
  | {
      kind: 'user'
      userId: string
      username: string
      role: Role
      /** Of the token; null: it does not end by itself. */
      expiresAt: Date | null
      /** Null: the user has logged in. */
      apiTokenId: string | null
    }
  | { kind: 'job'; jobType: string; jobId: string; vmName: string }
  | { kind: 'tokenless' }
  | { kind: 'download'; grant: DownloadGrant }
  /** Reads all of one mount. */
  | { kind: 'mount'; mountId: string }

/** What a download token is good for: one path of one mount. */
export type DownloadGrant = {
  mountId: string
  partition: number
  pathB64: string
  kind: 'file' | 'directory'
  format: string
}

type Shape = z.ZodType<unknown>
type Parsed<S> = S extends Shape ? z.output<S> : undefined

/** An answer that is no JSON: bytes that flow to the client as they come. */
export type StreamAnswer = { contentType: string; description: string }

export type FunctionSpec<N extends BindingName, P, Q, B> = {
  summary: string
  needs: readonly N[]
  params?: P
  query?: Q
  body?: B
  /** Largest body in bytes; 1 MiB unless said. */
  bodyMaxBytes?: number
  /** The body is no JSON but text, of so many bytes at the most, and is handed over as `text`. */
  textMaxBytes?: number
  responses: Record<number, Shape | StreamAnswer>
  /** Codes of this function's own block; those that any route can give are added by the runtime. */
  errors?: readonly ErrorCode[]
}

export type Input<N extends BindingName, P, Q, B> = {
  params: Parsed<P>
  query: Parsed<Q>
  body: Parsed<B>
  /** The body, where `textMaxBytes` asks for it. */
  text: string
  env: Env<N>
  caller: Caller
  request: { method: string; url: string; headers: Headers; remoteAddress: string; id: string }
}

/** An answer with a status or headers of its own. Plain objects are answered with 200. */
export class Answer {
  readonly status: number
  readonly body: unknown
  readonly headers: Record<string, string>
  /** Given: the bytes to send instead of a JSON body; null sends headers alone. */
  readonly stream: Readable | null | undefined
  constructor(status: number, body: unknown, headers: Record<string, string> = {}, stream?: Readable | null) {
    this.status = status
    this.body = body
    this.headers = headers
    this.stream = stream
  }
}
export const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Answer(status, body, headers)
/** @param stream destroyed with an error when it can't be finished, which resets the connection */
export const streamAnswer = (status: number, headers: Record<string, string>, stream: Readable | null) =>
  new Answer(status, undefined, headers, stream)

export type HubFunction<N extends BindingName = BindingName> = FunctionSpec<N, Shape, Shape, Shape> & {
  kind: 'function'
  // biome-ignore lint/suspicious/noExplicitAny: each handler has its own input type; the router has validated it by then
  handler: (input: any) => Promise<object>
}

export const defineFunction = <
  const N extends BindingName,
  P extends Shape | undefined = undefined,
  Q extends Shape | undefined = undefined,
  B extends Shape | undefined = undefined,
>(
  spec: FunctionSpec<N, P, Q, B>,
  handler: (input: Input<N, P, Q, B>) => Promise<object>,
): HubFunction<N> => ({ ...(spec as FunctionSpec<N, Shape, Shape, Shape>), kind: 'function', handler })

/** Work that the runtime starts by the clock, in one hub of several. It has no caller and no answer. */
export type CronFunction<N extends BindingName = BindingName> = {
  kind: 'cron'
  summary: string
  needs: readonly N[]
  run: (env: Env<N>) => Promise<void>
}
export const defineCron = <const N extends BindingName>(
  spec: { summary: string; needs: readonly N[] },
  run: (env: Env<N>) => Promise<void>,
): CronFunction<N> => ({ kind: 'cron', ...spec, run })
