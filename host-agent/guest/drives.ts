/** Above all drives of a Windows guest: a folder that is on none of them, and shows each by its letter. */
import type { FileInfo, Listing } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import type { Content, ListOptions, VolumeReader } from '../files/volume-reader.ts'

const notFound = () => new HubError('FILE_NOT_FOUND', 'There is no such file or directory')
const ofOneDrive = () =>
  new HubError('PATH_INVALID', 'These are the drives of the machine', { details: 'name one of them' })

export class Drives implements VolumeReader {
  /** By their letters: `C:`. */
  readonly #drives: ReadonlyMap<string, VolumeReader>

  constructor(drives: ReadonlyMap<string, VolumeReader>) {
    this.#drives = drives
  }

  async list(path: Buffer, { limit, offset }: ListOptions): Promise<Listing> {
    if (path.length > 1) throw notFound()
    const letters = [...this.#drives.keys()].sort()
    const entries: FileInfo[] = []
    for (const letter of letters.slice(offset, offset + limit)) {
      const root = await this.#drives.get(letter)!.info(Buffer.from('/'))
      entries.push({ ...root, name: letter, path: `/${letter}`, path_b64: null })
    }
    return { partition: 0, path: '/', entries: entries.map(asEntry), total_count: letters.length, truncated: false }
  }

  async info(path: Buffer): Promise<FileInfo> {
    const [first] = this.#drives.values()
    if (path.length > 1 || !first) throw notFound()
    return { ...(await first.info(Buffer.from('/'))), name: '/', path: '/', path_b64: null }
  }

  async read(): Promise<Content> {
    throw new HubError('IS_DIRECTORY', 'The path is a directory')
  }
  async archive(): Promise<Content> {
    throw ofOneDrive()
  }
  async index(): Promise<Content> {
    throw ofOneDrive()
  }
  async fingerprints(): Promise<Content> {
    throw ofOneDrive()
  }
  async digests(): Promise<Content> {
    throw ofOneDrive()
  }
  async close(): Promise<void> {
    // Their readers are the volumes'.
  }
}

/** What a listing says of it. */
export const asEntry = ({
  name,
  path,
  type,
  size,
  mode,
  modified_time,
  is_symlink,
  symlink_target,
  path_b64,
  special,
}: FileInfo) => ({
  name,
  path,
  type,
  size,
  mode,
  modified_time,
  is_symlink,
  symlink_target,
  path_b64,
  special,
})
