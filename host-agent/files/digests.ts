/** SHA-256 of many files of a volume, as lines of JSON while they are being read. */
import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { DigestLine } from '../../contract/agent.ts'
import { locate, type PartitionRoot, splitPath } from './resolve.ts'
import { archiveName, walkTree } from './walk.ts'

/** An empty line after so much of a large file: whoever waits for lines must not take it for a reader that hangs. */
const silentBytesMax = 16 * 1024 * 1024

const lineOf = (...line: DigestLine) => `${JSON.stringify(line)}\n`

async function* linesOf(root: PartitionRoot, paths: readonly Buffer[]): AsyncGenerator<string> {
  const numbers = new Map(paths.map((path, at) => [archiveName(path.subarray(1)), at]))
  const only = paths.map(splitPath)
  for await (const walked of walkTree(root, await locate(root, [], true), { only, prefix: [] })) {
    const at = numbers.get(walked.name)
    if (at === undefined) continue
    if (walked.kind === 'small') yield lineOf(at, createHash('sha256').update(walked.data).digest('hex'))
    if (walked.kind !== 'large') continue
    const hash = createHash('sha256')
    let silent = 0
    try {
      for await (const chunk of await walked.open()) {
        hash.update(chunk)
        silent += chunk.length
        if (silent < silentBytesMax) continue
        silent = 0
        yield '\n'
      }
    } catch {
      // Damaged: it has no digest, and the others have theirs.
      continue
    }
    yield lineOf(at, hash.digest('hex'))
  }
}

/** @param paths absolute in the volume; what is no regular file there, or can not be read, has no line */
export const writeDigestLines = (
  root: PartitionRoot,
  paths: readonly Buffer[],
  target: Writable,
  signal: AbortSignal,
): Promise<void> => pipeline(linesOf(root, paths), target, { signal, end: false })
