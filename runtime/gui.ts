/** Serves the console: files that were built once, read at start, under a policy that lets the page load nothing from anywhere else. */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { contentType } from 'mime-types'

/** @returns undefined for what is none of the console's */
export type Gui = (request: Request) => Response | undefined
type File = { type: string; data: Buffer; gzipped: Buffer | undefined }

/** What vite.config.ts writes where the nonce belongs. */
export const noncePlaceholder = '__CSP_NONCE__'

const policy = (nonce: string) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')

/** Paths that belong to programs: who asks for one that is not there is told so, in JSON. */
const isForPrograms = (path: string) => /^\/(api|swagger|health|metrics|openapi\.json)(\/|$)/.test(path)

const pageAnswer = (page: string): Response => {
  const nonce = randomBytes(16).toString('base64')
  return new Response(page.replaceAll(noncePlaceholder, nonce), {
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy(nonce),
      // A new version is seen with the next load; its files have other names.
      'Cache-Control': 'no-cache',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    },
  })
}

const fileAnswer = ({ type, data, gzipped }: File, path: string, acceptsGzip: boolean): Response => {
  const isGzipped = acceptsGzip && gzipped !== undefined
  return new Response(new Uint8Array(isGzipped ? gzipped : data), {
    headers: {
      'Content-Type': type,
      // The name of a built file holds a digest of its content.
      'Cache-Control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'public, max-age=3600',
      Vary: 'Accept-Encoding',
      ...(isGzipped ? { 'Content-Encoding': 'gzip' } : {}),
    },
  })
}

/** @param folder of what vite has built, gzipped files beside the plain ones */
export const loadGui = async (folder: URL): Promise<Gui> => {
  const root = fileURLToPath(folder)
  const names = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
  const content = new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(root, name))] as const)),
  )
  const page = content.get('index.html')
  if (!page) throw new Error(`${root} holds no console; build it with npm start`)
  const files = new Map(
    names
      .filter((name) => !name.endsWith('.gz') && !name.startsWith('.') && name !== 'index.html')
      .map((name): [string, File] => [
        `/${name}`,
        {
          type: contentType(extname(name)) || 'application/octet-stream',
          data: content.get(name)!,
          gzipped: content.get(`${name}.gz`),
        },
      ]),
  )
  const text = page.toString()
  return ({ method, url, headers }) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined
    const path = new URL(url).pathname
    const file = files.get(path)
    if (file) return fileAnswer(file, path, /\bgzip\b/.test(headers.get('accept-encoding') ?? ''))
    // Every other path is a page that the console itself knows.
    if (isForPrograms(path) || path.startsWith('/assets/')) return undefined
    return headers.get('accept')?.includes('text/html') ? pageAnswer(text) : undefined
  }
}
