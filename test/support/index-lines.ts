import type { IndexedEntry, IndexLine } from '../../contract/agent.ts'
import { toldFingerprints } from '../../db/queries/file-fingerprints.ts'

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

/** All fingerprints that an index tells, one after the other. @param given to the walk that told it */
export const fingerprintsOf = (lines: readonly IndexLine[], given?: Buffer): Buffer =>
  Buffer.concat(lines.flatMap((line) => ('folder' in line ? [toldFingerprints(line.fingerprints, given)!] : [])))
