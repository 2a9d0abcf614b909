/** What lies in a repository, by looking at the files alone. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Manifest, readManifest } from '../host-agent/exports/manifest.ts'
import { readSelfChecked } from '../host-agent/exports/self-checked.ts'

/** A disk's files: those that share a name. */
export type DiskFiles = {
  contextId: string
  diskIndex: number
  base: string
  /** Without suffix. */
  path: string
  /** `.merge.json`: another point is being merged into this one; `.lock.json`: until when it is immutable. */
  suffixes: Set<string>
  manifest: (Manifest & { digest: string }) | undefined
  /** Why there is no manifest to be read; undefined when it is simply not there. */
  manifestProblem: string | undefined
}
export type RepositoryFiles = {
  disks: DiskFiles[]
  /** Paths of files that have no business here. */
  strangers: string[]
  /** Paths of files that describe a folder and are not what we wrote. */
  unreadable: string[]
}

const suffixPattern = /^(.+?)(\.qcow2|\.blocks|\.manifest\.json|\.merge\.json|\.lock\.json)$/

/** @param root of the repository @throws Error when it can not be read */
export const readRepository = async (root: string): Promise<RepositoryFiles> => {
  const found: RepositoryFiles = { disks: [], strangers: [], unreadable: [] }
  for (const context of await readdir(root, { withFileTypes: true })) {
    if (!context.isDirectory()) continue
    const folder = join(root, context.name)
    const entries = await readdir(folder)
    const disks = entries.filter((name) => /^disk-\d+$/.test(name))
    // A folder that holds no disk is not ours.
    if (disks.length === 0) continue
    const text = await readFile(join(folder, 'context.json'), 'utf8').catch(() => undefined)
    if (text !== undefined && !isOurs(text)) found.unreadable.push(join(folder, 'context.json'))
    for (const name of entries)
      if (name !== 'context.json' && !disks.includes(name)) found.strangers.push(join(folder, name))
    for (const disk of disks) await readDisk(join(folder, disk), context.name, Number(disk.slice(5)), found)
  }
  return found
}

const isOurs = (text: string): boolean => {
  try {
    readSelfChecked(text)
    return true
  } catch {
    return false
  }
}

const readDisk = async (folder: string, contextId: string, diskIndex: number, found: RepositoryFiles) => {
  const byBase = new Map<string, DiskFiles>()
  for (const name of await readdir(folder)) {
    const [, base, suffix] = suffixPattern.exec(name) ?? []
    if (base === undefined || suffix === undefined) {
      found.strangers.push(join(folder, name))
      continue
    }
    const known = byBase.get(base) ?? {
      contextId,
      diskIndex,
      base,
      path: join(folder, base),
      suffixes: new Set<string>(),
      manifest: undefined,
      manifestProblem: undefined,
    }
    known.suffixes.add(suffix)
    byBase.set(base, known)
  }
  for (const files of byBase.values()) {
    if (files.suffixes.has('.manifest.json'))
      try {
        files.manifest = await readManifest(files.path)
      } catch (error) {
        files.manifestProblem = (error as Error).message
      }
    found.disks.push(files)
  }
}
