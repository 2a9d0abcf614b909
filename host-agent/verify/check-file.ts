/** Whether one disk's file is, bit by bit, what was sealed. */
import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Damage, DiskFile } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import { blockBytes, sha256 } from '../exports/blocks.ts'
import { compareChecksums, structureChecksum } from '../exports/checksums.ts'
import { identityOf, type Manifest, readManifest } from '../exports/manifest.ts'
import { checkHeader } from '../exports/qcow2.ts'
import { isTrouble } from '../trouble.ts'

export type FileToCheck = {
  file: DiskFile
  /** Absolute paths of the chain's QCOW2 files, newest first; the first is checked. */
  chain: readonly string[]
  /** As the seal gave it; null when that is not known. */
  manifestDigest: string | null
  fromBytes: number
  bytesPerSecond: number
}

type Report = {
  onSize: (bytes: number) => void
  onProgress: (bytes: number) => void
  onDamage: (damage: Damage) => void
}

const withoutSuffix = (path: string) => path.replace(/\.qcow2$/, '')
const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT'
const inWords = (error: unknown) =>
  ((error instanceof HubError && error.details) || (error as Error).message).replace(/\/\S+\//g, '').slice(0, 200)

/**
 * Manifest, checksums, structure, data: each is trusted only once what describes it has been found whole.
 * Damage is reported; what is thrown says that the check was stopped, or could not be made.
 */
export const checkFile = async (
  { file, chain, manifestDigest, fromBytes, bytesPerSecond }: FileToCheck,
  { onSize, onProgress, onDamage }: Report,
  signal: AbortSignal,
): Promise<void> => {
  const path = withoutSuffix(chain[0]!)
  const parent = chain[1]
  const damage = (suffix: string, kind: Damage['kind'], detail: string, place?: { offset: number; length: number }) =>
    onDamage({
      file: `${basename(path)}${suffix}`,
      kind,
      offset_bytes: place?.offset ?? null,
      length_bytes: place?.length ?? null,
      detail,
    })
  /** Runs a step; what it throws is damage of that file, if it is not this machine's trouble. @returns undefined for damage */
  const step = async <T>(suffix: string, kind: Damage['kind'], work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      if (isTrouble(error)) throw error
      if (isMissing(error)) damage(suffix, 'missing', 'is missing')
      else damage(suffix, kind, inWords(error))
      return undefined
    }
  }

  const manifest = await step('.manifest.json', 'manifest', async () => {
    const read = await readManifest(path)
    checkIdentity(read, file, manifestDigest)
    return read
  })
  if (!manifest) return
  onSize(manifest.virtual_size_bytes)
  if (parent !== undefined) {
    // A parent that is damaged itself is found by its own check; here only that it is the right one.
    const parentDigest = await readManifest(withoutSuffix(parent)).then(identityOf, () => manifest.parent_digest)
    if (parentDigest !== manifest.parent_digest)
      damage('.qcow2', 'structure', `${basename(parent)} is not the file that it builds on`)
  }
  const checksums = await step('.blocks', 'checksums', async () => {
    const digests = await readFile(`${path}.blocks`)
    if (sha256(digests).toString('hex') !== manifest.checksums.digest)
      throw new Error('does not match the digest in the manifest')
    return digests
  })
  const structure = await step('.qcow2', 'structure', async () => {
    const { virtualSize } = await checkHeader(chain[0]!, parent === undefined ? null : basename(parent))
    if (virtualSize !== manifest.virtual_size_bytes) throw new Error('is of another size than it was')
    const { size } = await stat(chain[0]!)
    if (size !== manifest.file_size_bytes) throw new Error(`has ${size} bytes, not ${manifest.file_size_bytes}`)
    if ((await structureChecksum(chain[0]!, signal)).toString('hex') !== manifest.checksums.structure_digest)
      throw new Error('its tables do not match their checksum')
    return true
  })
  // With wrong tables every block would be wrong, which says nothing more.
  if (!checksums || !structure) return
  await step('.qcow2', 'data', () =>
    compareChecksums(
      {
        paths: [...chain],
        parentBlocks: parent === undefined ? null : `${withoutSuffix(parent)}.blocks`,
        ownBlocks: `${path}.blocks`,
        from: Math.floor(fromBytes / blockBytes),
        bytesPerSecond,
      },
      (nextBlock, found) => {
        for (const { offset, length, detail } of found) damage('.qcow2', 'data', detail, { offset, length })
        onProgress(Math.min(manifest.virtual_size_bytes, nextBlock * blockBytes))
      },
      signal,
    ),
  )
}

/** @throws Error when a manifest, whole as it is, is another file's */
const checkIdentity = (manifest: Manifest & { digest: string }, file: DiskFile, digest: string | null) => {
  const isItsOwn =
    manifest.file === `${file.base}.qcow2` &&
    manifest.disk_index === file.disk_index &&
    manifest.vm_backup_context_id === file.vm_backup_context_id
  if (!isItsOwn) throw new Error('describes another file')
  if (digest !== null && identityOf(manifest) !== digest) throw new Error('is whole, but not the one that was sealed')
}
