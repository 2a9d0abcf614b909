/** From what a client sent to what a function takes: body, query and path, with every bad field named. */
import type { z } from 'zod'
import { type FieldError, HubError } from '../contract/errors.ts'

type Issue = z.core.$ZodIssue & { input?: unknown; origin?: string; params?: { code?: FieldError['code'] } }

const codeOf = (issue: Issue): FieldError['code'] => {
  const missing = issue.input === undefined
  switch (issue.code) {
    case 'invalid_type':
    case 'invalid_union':
      return missing ? 'REQUIRED' : 'TYPE'
    case 'invalid_value':
      return missing ? 'REQUIRED' : 'ENUM'
    case 'too_big':
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array' || issue.origin === 'map' ? 'LENGTH' : 'RANGE'
    case 'invalid_format':
      return 'FORMAT'
    case 'unrecognized_keys':
      return 'UNKNOWN'
    case 'not_multiple_of':
      return 'RANGE'
    case 'invalid_key':
      return 'LENGTH'
    default:
      return issue.params?.code ?? 'FORMAT'
  }
}

/** `["copy_rules", 1, "priority"]` as `copy_rules[1].priority`. */
const fieldPath = (path: readonly PropertyKey[]) =>
  path.map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`)).join('')

export const fieldErrors = (issues: readonly z.core.$ZodIssue[]): FieldError[] =>
  issues.map((issue) => {
    const code = codeOf(issue as Issue)
    return { field: fieldPath(issue.path), message: code === 'REQUIRED' ? 'is required' : issue.message, code }
  })

/** @throws VALIDATION_FAILED with each bad field */
export const validate = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const fields = fieldErrors(result.error.issues)
  throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
    details: fields
      .map(({ field, message }) => `${field || 'body'}: ${message}`)
      .join('; ')
      .slice(0, 1000),
    fields,
  })
}

/** Brackets nested deeper than any request of the contract; found before the parser builds the objects. */
const tooDeep = (text: string, depthMax: number) => {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (inString) {
      if (character === 0x5c) at++
      else if (character === 0x22) inString = false
    } else if (character === 0x22) inString = true
    else if (character === 0x7b || character === 0x5b) {
      if (++depth > depthMax) return true
    } else if (character === 0x7d || character === 0x5d) depth--
  }
  return false
}

const readAll = async (body: AsyncIterable<Uint8Array>, bytesMax: number) => {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.byteLength
      if (size > bytesMax) break
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new HubError('INVALID_JSON', 'The request body ended too early', { cause })
  }
  if (size > bytesMax) throw tooLarge(bytesMax)
  return Buffer.concat(chunks)
}
const tooLarge = (bytesMax: number) =>
  new HubError('BODY_TOO_LARGE', 'The request body is too large', { details: `at most ${bytesMax} bytes` })

/** @throws BODY_TOO_LARGE, INVALID_JSON when it ends too early, UNSUPPORTED_MEDIA_TYPE when it is no UTF-8 */
export const readText = async (
  headers: Headers,
  body: AsyncIterable<Uint8Array> | null,
  bytesMax: number,
): Promise<string> => {
  const length = headers.get('content-length')
  if (length !== null && Number(length) > bytesMax) throw tooLarge(bytesMax)
  const bytes = body ? await readAll(body, bytesMax) : Buffer.alloc(0)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new HubError('UNSUPPORTED_MEDIA_TYPE', 'The request body must be UTF-8', { cause })
  }
}

/**
 * The JSON object a request carries; an empty body counts as `{}`.
 * @param body the request's bytes; undefined when it has none
 * @throws UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_JSON
 */
export const readJson = async (
  headers: Headers,
  body: AsyncIterable<Uint8Array> | null,
  bytesMax: number,
  depthMax: number,
): Promise<object> => {
  const type = headers.get('content-type')
  const length = headers.get('content-length')
  if (length !== null && Number(length) > bytesMax) throw tooLarge(bytesMax)
  const bytes = body ? await readAll(body, bytesMax) : Buffer.alloc(0)
  if (bytes.length === 0) return {}

  const encoding = headers.get('content-encoding')
  if (!/^application\/json\s*(;|$)/i.test(type ?? '') || (encoding !== null && encoding !== 'identity'))
    throw new HubError('UNSUPPORTED_MEDIA_TYPE', 'The request body must be JSON', {
      details: 'send Content-Type: application/json, not compressed',
    })
  let value: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (tooDeep(text, depthMax)) throw new Error(`nested deeper than ${depthMax} levels`)
    value = JSON.parse(text)
  } catch (cause) {
    throw new HubError('INVALID_JSON', 'The request body is not valid JSON', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new HubError('INVALID_JSON', 'The request body must be a JSON object')
  return value
}
