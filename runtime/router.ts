/** Mounts functions: request id, CORS, authentication, validation, the answer, and one handler for every error. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { HTTPException } from 'hono/http-exception'
import type { z } from 'zod'
import { errorBody, HubError } from '../contract/errors.ts'
import { readSessionCookie } from '../contract/session-cookie.ts'
import { isDatabaseDown } from '../db/database.ts'
import { openAudit } from './audit.ts'
import { authenticate, authorize, isFromOwnPage } from './auth.ts'
import type { Bindings } from './bindings/index.ts'
import { type Alias, fullPath, type Limits } from './config.ts'
import { Answer, type Caller } from './function.ts'
import type { Gui } from './gui.ts'
import type { LoadedRoute } from './load.ts'
import { causes, log } from './log.ts'
import { cutWhenStalled } from './stalled-clients.ts'
import { readJson, readText, validate } from './validate.ts'

type NodeEnv = { incoming?: IncomingMessage; outgoing?: ServerResponse }
type AppEnv = { Bindings: NodeEnv; Variables: { requestId: string } }
type AppContext = Context<AppEnv>
export type App = Hono<AppEnv>

export type RouterOptions = {
  limits: Limits
  corsOrigins: readonly string[]
  /** Tests only: an answer that does not fit its declared shape becomes a 500. */
  checkAnswers?: boolean
  /** Pages for people: what no route has and the console has is answered by it. */
  gui?: Gui | undefined
  /** Told the name of each function that has done its work. */
  answered?: (functionName: string) => void
}

const exposedHeaders = [
  'Content-Disposition',
  'Content-Range',
  'Accept-Ranges',
  'ETag',
  'Deprecation',
  'Link',
  'X-Request-ID',
]
/** Since when the legacy paths are deprecated (contract section 1.7). */
const deprecatedSince = '@1759881600'

const remoteAddress = (c: AppContext) => c.env?.incoming?.socket?.remoteAddress ?? '127.0.0.1'

/** Every Authorization header: Node keeps only the first of several in `headers`. */
const authorizationHeaders = (c: AppContext): string[] => {
  const raw = c.env?.incoming?.rawHeaders
  if (!raw) return [c.req.header('authorization')].filter((value) => value !== undefined)
  return raw.filter((_, at) => at % 2 === 1 && raw[at - 1]!.toLowerCase() === 'authorization')
}

const sessionOf = (c: AppContext) => {
  const token = readSessionCookie(c.req.header('cookie'))
  return token ? { token, isOwnPage: isFromOwnPage(c.req.method, c.req.raw.headers) } : undefined
}

/** Fixed segments win over parameters (contract section 1.7); Hono takes the first that was registered. */
const fixedFirst = (a: { path: string }, b: { path: string }) => {
  const [left, right] = [a.path.split('/'), b.path.split('/')]
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const [one, other] = [left[at]!.startsWith('{'), right[at]!.startsWith('{')]
    if (one !== other) return one ? 1 : -1
  }
  return right.length - left.length
}

type Registration = { method: string; path: string; route: LoadedRoute; alias?: Alias }
export const registrations = (routes: readonly LoadedRoute[]): Registration[] =>
  routes
    .flatMap((route): Registration[] => [
      { method: route.method, path: fullPath(route), route },
      ...(route.aliases ?? []).map((alias) => ({
        method: alias.method ?? route.method,
        path: fullPath(alias),
        route,
        alias,
      })),
    ])
    .sort(fixedFirst)

const isOptions = ({ method }: Registration) => method === 'OPTIONS'

/** The path that a legacy answer's Link header names: the canonical one, with this request's parameters filled in. */
const successorOf = (route: LoadedRoute, alias: Alias, params: Record<string, string>) =>
  alias.paramsAsQuery
    ? `${fullPath(route)}?${new URLSearchParams(params)}`
    : fullPath(route).replace(/\{([^}]*)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))

const readInput = async (c: AppContext, { route, alias }: Registration, limits: Limits) => {
  const { fn } = route
  const params = c.req.param() as Record<string, string>
  // A repeated query field counts once: the first wins.
  const query = { ...c.req.query(), ...(alias?.paramsAsQuery ? params : {}) }
  const input: { params: unknown; query: unknown; body: unknown; text: string } = {
    params: {},
    query: {},
    body: {},
    text: '',
  }
  if (fn.params) input.params = validate(fn.params, alias?.paramsAsQuery ? {} : params)
  if (fn.query) input.query = validate(fn.query, query)
  if (fn.textMaxBytes !== undefined) {
    const body = c.env?.incoming?.iterator({ destroyOnReturn: false }) ?? c.req.raw.body
    input.text = await readText(c.req.raw.headers, body, fn.textMaxBytes)
  }
  if (fn.body) {
    // Node's own request where there is one: by way of a web stream a small body takes longer than its validation.
    // Read to its limit only, and left open beyond: the client is still to be told.
    const body = c.env?.incoming?.iterator({ destroyOnReturn: false }) ?? c.req.raw.body
    const json = await readJson(c.req.raw.headers, body, fn.bodyMaxBytes ?? limits.bodyMaxBytes, limits.bodyMaxDepth)
    input.body = validate(fn.body, json)
  }
  return input
}

const checkAnswer = (route: LoadedRoute, status: number, body: unknown) => {
  const schema = route.fn.responses[status]
  if (!schema) throw new Error(`functions/${route.function} answered ${status}, which it does not declare`)
  if (!('safeParse' in schema)) return
  const result = (schema as z.ZodType).safeParse(body)
  if (!result.success) throw new Error(`functions/${route.function} answered off its shape: ${result.error.message}`)
}

/** Sends a stream past Hono, by Node's own response: an order of magnitude faster than web streams, and with back-pressure. */
const sendStream = (c: AppContext, { status, headers, stream }: Answer, { stalledClientMs }: Limits) => {
  const outgoing = c.env?.outgoing
  if (!outgoing || !stream) {
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    const body = stream ? (Readable.toWeb(stream) as ReadableStream<Uint8Array>) : null
    return c.newResponse(body as ReadableStream, status as 200)
  }
  outgoing.writeHead(status, { ...Object.fromEntries(c.res.headers), ...headers })
  cutWhenStalled(outgoing, stalledClientMs)
  // A source that breaks destroys the connection, so that no cut answer looks whole.
  pipeline(stream, outgoing).catch((error: unknown) => {
    log.warn({ request_id: c.get('requestId'), error: String(error) }, 'a download ended early')
  })
  return RESPONSE_ALREADY_SENT
}

const toHubError = (error: unknown): HubError => {
  if (error instanceof HubError) return error
  if (isDatabaseDown(error))
    return new HubError('SERVICE_UNAVAILABLE', 'The database does not answer', {
      cause: error,
      headers: { 'Retry-After': '5' },
    })
  if (error instanceof HTTPException && error.status < 500)
    return new HubError('VALIDATION_FAILED', 'The request is not valid', { details: error.message, cause: error })
  return new HubError('INTERNAL', 'The hub made an error; its log has the details', { cause: error })
}

const routeNotFound = (c: AppContext) =>
  new HubError('ROUTE_NOT_FOUND', 'There is no such route', { details: `${c.req.method} ${c.req.path}`.slice(0, 500) })

/** @param bindings what stands behind the names; each function is handed only those that the map grants it */
export const createApp = (routes: readonly LoadedRoute[], bindings: Bindings, options: RouterOptions): App => {
  const app: App = new Hono()
  const audit = openAudit(bindings.DB, bindings.CLOCK)
  const answerError = (error: unknown, c: AppContext) => {
    const known = toHubError(error)
    if (known.status >= 500)
      log.error(
        {
          request_id: c.get('requestId'),
          method: c.req.method,
          path: c.req.path,
          code: known.code,
          causes: causes(error),
        },
        known.message,
      )
    for (const [name, value] of Object.entries(known.headers)) c.header(name, value)
    c.header('Cache-Control', 'no-store')
    return c.json(errorBody(known, c.get('requestId'), bindings.CLOCK.now()), known.status)
  }

  app.use(async (c, next) => {
    const asked = c.req.header('x-request-id')
    const requestId = asked && /^[A-Za-z0-9._-]{1,64}$/.test(asked) ? asked : randomUUID()
    const began = performance.now()
    c.set('requestId', requestId)
    c.header('X-Request-ID', requestId)
    c.header('X-Content-Type-Options', 'nosniff')
    c.header('Referrer-Policy', 'no-referrer')
    await next()
    const record = {
      timestamp: bindings.CLOCK.now().toISOString(),
      method: c.req.method,
      path: c.req.path.slice(0, 500),
      status_code: c.env?.outgoing?.headersSent ? c.env.outgoing.statusCode : c.res.status,
      duration_ms: Math.round((performance.now() - began) * 10) / 10,
      remote_addr: remoteAddress(c),
      request_id: requestId,
    }
    bindings.RUNTIME.requests.add(record)
    log.info(record, 'request')
  })
  let underWay = 0
  app.use(async (_, next) => {
    if (underWay >= options.limits.requestsMax)
      throw new HubError('SERVICE_UNAVAILABLE', 'The hub has more requests than it can serve', {
        details: 'try again in a second',
        headers: { 'Retry-After': '1' },
      })
    underWay++
    try {
      await next()
    } finally {
      underWay--
    }
  })
  const serve = (registration: Registration) => {
    const { method, path, route, alias } = registration
    const rule = {
      role: alias?.role ?? route.role,
      callback: route.callback,
      downloadToken: route.downloadToken,
      basic: route.basic,
    }
    const env = Object.fromEntries(route.bindings.map((name) => [name, bindings[name]]))
    app.on(method, path.replace(/\{([^}]*)\}/g, ':$1'), async (c) => {
      if (alias?.legacy) {
        c.header('Deprecation', deprecatedSince)
        c.header(
          'Link',
          `<${successorOf(route, alias, c.req.param() as Record<string, string>)}>; rel="successor-version"`,
        )
      }
      let caller: Caller | undefined
      let input: Awaited<ReturnType<typeof readInput>> | undefined
      const noteOutcome = (status: number, code: string | null) =>
        audit({
          route,
          caller,
          input,
          method: c.req.method,
          path: c.req.path,
          status,
          code,
          remoteAddress: remoteAddress(c),
          requestId: c.get('requestId'),
        })
      const work = async (): Promise<Answer> => {
        caller = await authenticate(
          rule,
          {
            authorization: authorizationHeaders(c),
            queryTokens: c.req.queries('token') ?? [],
            session: sessionOf(c),
            remoteAddress: remoteAddress(c),
          },
          bindings,
        )
        authorize(rule, caller)
        input = await readInput(c, registration, options.limits)
        const result = await route.fn.handler({
          ...input,
          env,
          caller,
          request: {
            method: c.req.method,
            url: c.req.url,
            headers: c.req.raw.headers,
            remoteAddress: remoteAddress(c),
            id: c.get('requestId'),
          },
        })
        return result instanceof Answer ? result : new Answer(200, result)
      }
      const reply = await work().catch(async (error: unknown) => {
        const { status, code } = toHubError(error)
        await noteOutcome(status, code)
        throw error
      })
      options.answered?.(route.function)
      await noteOutcome(reply.status, null)
      if (reply.stream !== undefined) return sendStream(c, reply, options.limits)
      if (options.checkAnswers) checkAnswer(route, reply.status, reply.body)
      c.header('Cache-Control', 'no-store')
      for (const [name, value] of Object.entries(reply.headers)) c.header(name, value)
      return c.json(reply.body, reply.status as 200)
    })
  }

  const [own, all] = [registrations(routes).filter(isOptions), registrations(routes).filter((one) => !isOptions(one))]
  // Before CORS, which answers every other.
  own.forEach(serve)
  app.use(
    cors({
      origin: [...options.corsOrigins],
      allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      exposeHeaders: exposedHeaders,
    }),
  )
  all.forEach(serve)

  app.notFound((c) => options.gui?.(c.req.raw) ?? answerError(routeNotFound(c), c))
  app.onError((error, c) => answerError(error, c))
  return app
}
