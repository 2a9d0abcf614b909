/** The node's own list of sources: a JSON file, read anew each time so that a new source needs no restart. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const sourcesFile = z.object({
  sources: z.record(
    z.string().regex(/^[A-Za-z0-9._-]{1,100}$/),
    // The only kind so far; others come as further members of this union.
    z.discriminatedUnion('kind', [z.object({ kind: z.literal('image'), folder: z.string().startsWith('/') })]),
  ),
})
export type SourceSettings = z.infer<typeof sourcesFile>['sources'][string]

/** @returns an empty list when there is no file @throws Error when it is wrong */
export const readSources = async (path: string): Promise<Record<string, SourceSettings>> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{"sources":{}}'
    throw error
  })
  const result = sourcesFile.safeParse(JSON.parse(text))
  if (!result.success) throw new Error(`${path} is wrong: ${z.prettifyError(result.error)}`)
  return result.data.sources
}
