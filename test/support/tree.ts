/** A folder with what filesystems find hard, and what it looks like: on the host, and through a mount. */
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { mapSome } from '../../host-agent/concurrency.ts'
import type { RealAgent } from './real-agent.ts'

/** By its path: `d <time>`, `l <target>`, `f <size> <time> <sha256>`. */
export type Tree = ReadonlyMap<string, string>
export type TreeOptions = {
  /** Whether it knows links, of both kinds. */
  links: boolean
  /** Longest name in bytes. */
  nameMax: number
  /** Whether small and capital letters are the same, and some characters can not be in a name. */
  isDos: boolean
  /** Small files in one folder. */
  many?: number
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Fills a folder that is empty but for what its filesystem keeps there. */
export const plant = (root: string, { links, nameMax, isDos, many = 100 }: TreeOptions) => {
  const file = (name: string, bytes: number) => writeFileSync(join(root, name), randomBytes(bytes))
  for (const folder of ['empty', 'deep', 'deep/er', 'deep/er/still', 'many'])
    mkdirSync(join(root, folder), { recursive: true })
  // Around what is kept in an inode, a block, a cluster, an extent.
  for (const bytes of [0, 1, 60, 156, 511, 512, 4095, 4096, 4097, 65_536, 1_500_000]) file(`of ${bytes} bytes`, bytes)
  file('deep/er/still/here', 10_000)
  for (let number = 0; number < many; number++) file(`many/number ${number}`, number % 7)
  file(`${'ü'.repeat(Math.floor((nameMax - 4) / 2))}.txt`.slice(0, nameMax), 100)
  file('日本語 и русский', 200)
  file('.hidden', 3)
  if (!isDos)
    for (const name of ['a:b*c?', 'back\\slash', 'new\nline', 'ends with a dot.', 'Case', 'case']) file(name, 20)
  // Written here and there, with nothing in between.
  const sparse = openSync(join(root, 'sparse'), 'w')
  writeSync(sparse, randomBytes(4096), 0, 4096, 1_000_000)
  writeSync(sparse, randomBytes(100), 0, 100, 3_000_001)
  ftruncateSync(sparse, 4_000_000)
  closeSync(sparse)
  if (links) {
    linkSync(join(root, 'of 4097 bytes'), join(root, 'deep/the same'))
    symlinkSync('of 1 bytes', join(root, 'link'))
    symlinkSync(`deep/${'er/../'.repeat(30)}er`, join(root, 'long link'))
    symlinkSync('nowhere', join(root, 'deep/dangling'))
  }
  const then = new Date('2011-11-11T11:11:12Z')
  for (const name of ['of 1 bytes', 'deep/er/still/here', 'empty', 'deep']) utimesSync(join(root, name), then, then)
}

/** To the second, which is as much as some filesystems keep. @param seconds since 1970 */
const timeOf = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

/** Each ext has one; those that are filled without a kernel have another time for it. */
const notOurs = '/lost+found'

/** What is in a folder of this host. */
export const treeOn = (root: string): Tree => {
  const tree = new Map<string, string>()
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`
      const { mtimeNs, size } = lstatSync(join(root, path), { bigint: true })
      const time = timeOf(Number(mtimeNs / 1_000_000_000n))
      if (entry.isSymbolicLink()) tree.set(path, `l ${readlinkSync(join(root, path))}`)
      else if (entry.isDirectory()) {
        tree.set(path, `d ${time}`)
        walk(path)
      } else tree.set(path, `f ${size} ${time} ${sha256(readFileSync(join(root, path)))}`)
    }
  }
  walk('')
  tree.delete(notOurs)
  return tree
}

/** Files that are also asked for by what is told of each; the others are read alone. */
const infosMax = 16
const atOnce = 6
/** What a mount shows of a volume. */
export const treeThrough = async ({ agent }: RealAgent, mountId: string, partition: number): Promise<Tree> => {
  const root = { path_b64: Buffer.from('/').toString('base64'), partition }
  const { entries, truncated } = await agent.listFiles(mountId, { ...root, recursive: true, limit: 10_000, offset: 0 })
  if (truncated) throw new Error('there is more than one listing shows')
  let infos = 0
  const seen = await mapSome(entries, atOnce, async (entry): Promise<[string, string]> => {
    if (entry.is_symlink) return [entry.path, `l ${entry.symlink_target}`]
    const time = timeOf(Math.floor(Date.parse(entry.modified_time) / 1000))
    if (entry.type === 'directory') return [entry.path, `d ${time}`]
    const at = { path_b64: entry.path_b64 ?? Buffer.from(entry.path).toString('base64'), partition }
    const told = infos++ < infosMax ? await agent.fileInfo(mountId, at) : { size: entry.size, etag: '' }
    const bytes = await buffer(await agent.readFile(mountId, { ...at, start: 0, length: told.size, etag: told.etag }))
    return [entry.path, `f ${entry.size} ${time} ${sha256(bytes)}`]
  })
  const tree = new Map(seen)
  tree.delete(notOurs)
  return tree
}

/** @returns what one has and the other has not, a line each */
export const differences = (expected: Tree, seen: Tree): string[] => [
  ...[...expected].flatMap(([path, what]) =>
    seen.get(path) === what ? [] : [`${JSON.stringify(path)}: ${what}, but seen is ${seen.get(path) ?? 'nothing'}`],
  ),
  ...[...seen.keys()].filter((path) => !expected.has(path)).map((path) => `${JSON.stringify(path)} was never written`),
]
