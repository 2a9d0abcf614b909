/** Answers with a file of a mount, whole or one range of it (contract section 10.2). */
import type { FileInfo, GuestPath } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { type Answer, streamAnswer } from '../runtime/function.ts'
import { isUnchanged, mimeType, wantedSpan } from './downloads.ts'

export const fileAnswers = {
  200: { contentType: 'application/octet-stream', description: 'The bytes of the file' },
  206: { contentType: 'application/octet-stream', description: 'One range of the file' },
  304: { contentType: 'application/octet-stream', description: 'The client has it already' },
}
export const fileErrors = ['IS_DIRECTORY', 'NOT_A_REGULAR_FILE', 'RANGE_NOT_SATISFIABLE'] as const

/**
 * @param more headers of an answer that has the file's bytes
 * @param insteadOfFolder what to ask for where the path is a folder
 * @throws IS_DIRECTORY, NOT_A_REGULAR_FILE, RANGE_NOT_SATISFIABLE, and what the agent throws
 */
export const sendFile = async (
  { AGENT }: Env<'AGENT'>,
  mountId: string,
  path: GuestPath,
  request: { method: string; headers: Headers },
  { more, insteadOfFolder }: { more: (info: FileInfo) => Record<string, string>; insteadOfFolder: string },
): Promise<Answer> => {
  const info = await AGENT.fileInfo(mountId, path)
  if (info.type === 'directory')
    throw new HubError('IS_DIRECTORY', 'The path is a directory', { details: insteadOfFolder })
  if (info.special) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
  const validators = { ETag: info.etag, 'Last-Modified': info.modified_http, 'Cache-Control': 'private, no-cache' }
  if (isUnchanged(request.headers, info)) return streamAnswer(304, validators, null)

  const span = wantedSpan(request.headers, info)
  const { start, length } = span ?? { start: 0, length: info.size }
  const headers = {
    ...validators,
    'Content-Type': mimeType(info.name) ?? 'application/octet-stream',
    'Content-Length': String(length),
    'Accept-Ranges': 'bytes',
    ...more(info),
    ...(span ? { 'Content-Range': `bytes ${start}-${start + length - 1}/${info.size}` } : {}),
  }
  // A dangling symlink has no content to open: the agent says so before any header is sent.
  const stream =
    request.method === 'HEAD' ? null : await AGENT.readFile(mountId, { ...path, start, length, etag: info.etag })
  return streamAnswer(span ? 206 : 200, headers, stream)
}
