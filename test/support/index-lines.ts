import type { IndexedEntry, IndexLine } from '../../contract/agent.ts'

const bytesOf = (said: IndexedEntry[0]) =>
  typeof said === 'string' ? Buffer.from(said) : Buffer.from(said.b64, 'base64')

/** What an index tells of all files, with their whole paths. */
export const entriesOf = (lines: readonly IndexLine[]): [path: string, ...rest: unknown[]][] =>
  lines.flatMap((line) =>
    'folder' in line
      ? line.entries.map(
          ([name, ...rest]) => [`${bytesOf(line.folder)}/${bytesOf(name)}`, ...rest] as [string, ...unknown[]],
        )
      : [],
  )
