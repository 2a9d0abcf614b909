/** Has a reader mount a volume: as it is, or, where its journal is dirty, with that replayed beside the backup, or else without what it holds. */
import type { ReaderClient } from '../sandbox/reader-client.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'

/** Each shows the volume to the reader, and says by what name. */
export type Shows = { show: () => Promise<string>; showWritable: () => Promise<string> }

export const mountInSteps = async (
  reader: ReaderClient,
  { number, filesystem }: { number: number; filesystem: string },
  { show, showWritable }: Shows,
): Promise<Mounted | NotMounted> => {
  const plain = { volume: number, filesystem, image: await show() }
  const first = await reader.open({ ...plain, step: 'plain' })
  if (first.mounted || first.remedy !== 'replay') return first
  const second = await reader.open({ ...plain, image: await showWritable(), step: 'replay' })
  return second.mounted ? second : reader.open({ ...plain, step: 'without-journal' })
}
