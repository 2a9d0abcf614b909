/** The OpenAPI 3.1 document, made from the same declarations that validate requests. */
import { z } from 'zod'
import { errorAnswer } from '../contract/api/common.ts'
import { type ErrorCode, errorStatus } from '../contract/errors.ts'
import type { Alias } from './config.ts'
import type { HubFunction, StreamAnswer } from './function.ts'
import type { LoadedRoute } from './load.ts'
import { registrations } from './router.ts'

type Json = Record<string, unknown>

const toSchema = (schema: z.ZodType, io: 'input' | 'output'): Json => {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', target: 'draft-2020-12' }) as Json
  return rest
}

const parameters = (schema: z.ZodType | undefined, where: 'path' | 'query') => {
  if (!schema) return []
  const { properties = {}, required = [] } = toSchema(schema, 'input') as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: property,
  }))
}

/** Parameters of the path that the function itself does not declare (a legacy path that stands for query fields). */
const pathParameters = (path: string, fn: HubFunction) => {
  const declared = parameters(fn.params, 'path')
  const names = [...path.matchAll(/\{([^}]*)\}/g)].map((match) => match[1]!)
  return names.map(
    (name) =>
      declared.find((one) => one.name === name) ?? { name, in: 'path', required: true, schema: { type: 'string' } },
  )
}

const generalErrors = (fn: HubFunction, open: boolean): ErrorCode[] => [
  ...(fn.body || fn.query || fn.params ? (['VALIDATION_FAILED'] as const) : []),
  ...(fn.body ? (['INVALID_JSON', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const) : []),
  ...(open ? [] : (['UNAUTHENTICATED', 'TOKEN_INVALID', 'TOKEN_EXPIRED', 'FORBIDDEN', 'TOKEN_SCOPE'] as const)),
  'INTERNAL',
  'SERVICE_UNAVAILABLE',
]

const responses = (fn: HubFunction, open: boolean) => {
  const answers: Record<string, Json> = {}
  for (const [status, shape] of Object.entries(fn.responses)) {
    const content =
      'safeParse' in shape
        ? { 'application/json': { schema: toSchema(shape as z.ZodType, 'output') } }
        : { [(shape as StreamAnswer).contentType]: { schema: { type: 'string', format: 'binary' } } }
    const empty = status === '304'
    answers[status] = {
      description: 'safeParse' in shape ? fn.summary : (shape as StreamAnswer).description,
      ...(empty ? {} : { content }),
    }
  }
  const codes = new Set([...(fn.errors ?? []), ...generalErrors(fn, open)])
  for (const status of new Set([...codes].map((code) => errorStatus[code])))
    answers[status] ??= {
      description: [...codes].filter((code) => errorStatus[code] === status).join(', '),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    }
  return answers
}

const operationId = (method: string, path: string) =>
  `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => (next ?? '').toUpperCase())}`

const operation = (method: string, path: string, route: LoadedRoute, alias: Alias | undefined): Json => {
  const { fn } = route
  const role = alias?.role ?? route.role
  const open = role === 'open'
  return {
    operationId: operationId(method, path),
    summary: fn.summary,
    description: open
      ? 'Needs no token.'
      : `Needs the role ${role}${route.callback ? ", or the job's own token" : ''}${route.downloadToken ? ', or a download token' : ''}.`,
    tags: [route.function.split('/')[0]],
    ...(alias?.legacy ? { deprecated: true } : {}),
    security: open ? [] : [{ bearer: [] }],
    parameters: [
      ...pathParameters(path, fn),
      ...parameters(fn.query, 'query').filter(({ name }) => !(alias?.paramsAsQuery && path.includes(`{${name}}`))),
    ],
    ...(fn.body ? { requestBody: { content: { 'application/json': { schema: toSchema(fn.body, 'input') } } } } : {}),
    responses: responses(fn, open),
  }
}

/** @param version of the product */
export const openapiDocument = (routes: readonly LoadedRoute[], version: string): Json => {
  const paths: Record<string, Record<string, Json>> = {}
  for (const { method, path, route, alias } of registrations(routes)) {
    // WebDAV's own method, for which OpenAPI has no place.
    if (method === 'PROPFIND') continue
    // OpenAPI has no wildcard; the one path that ends so is shown with a parameter.
    const shown = path.replace(/\*$/, '{file}')
    paths[shown] ??= {}
    paths[shown][method.toLowerCase()] = operation(method, shown, route, alias)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sendense Hub',
      version,
      description: 'Backs up whole virtual machines and gives single files back.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Error: toSchema(errorAnswer, 'output') },
    },
  }
}
