/** Versions of one name in the restore points of a VM, one after the other: nobody is asked, nothing is kept. */
import type { IndexedEntry } from '../../contract/agent.ts'

/** Of a version that the newest point has; greater than every time. */
export const stillThere = Number.MAX_SAFE_INTEGER
/** A file as it was in the points from `firstAt` on, and no more from `lastAt` on: when they were completed, in milliseconds since 1970. */
export type Version = { entry: IndexedEntry; firstAt: number; lastAt: number }
/** A version with the name's place. */
export type Placed = Version & { folderId: number; hash: number }
/** Whether the newest point does not have it any more. */
export const isPast = ({ lastAt }: Pick<Version, 'lastAt'>): boolean => lastAt !== stillThere
/** A point that becomes known, and the known ones before and after it. */
export type Bounds = { before: number | undefined; at: number; after: number | undefined }

/** The same content, as far as the index knows. */
export const isAlike = (a: IndexedEntry | undefined, b: IndexedEntry | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a[1] === b[1] && a[2] === b[2] && a[3] === b[3])
export const isAt = ({ firstAt, lastAt }: Pick<Version, 'firstAt' | 'lastAt'>, point: number): boolean =>
  firstAt <= point && lastAt > point
export const versionAt = <V extends Version>(versions: readonly V[], point: number | undefined): V | undefined =>
  point === undefined ? undefined : versions.find((version) => isAt(version, point))

/**
 * What is known when it is known, too, what a point has of the name. Whatever lay between its neighbours no point has, and is dropped.
 * @param entry what the point has; undefined: nothing
 */
export const withPoint = (
  versions: readonly Version[],
  entry: IndexedEntry | undefined,
  { before, at, after }: Bounds,
): { versions: Version[]; changedAt: number[] } => {
  const [earlier, later] = [versionAt(versions, before), versionAt(versions, after)]
  const pieces: Version[] = []
  if (earlier) pieces.push({ ...earlier, lastAt: at })
  if (entry) pieces.push({ entry, firstAt: at, lastAt: after ?? stillThere })
  if (later) pieces.push({ ...later, firstAt: after! })
  const joined: Version[] = []
  for (const piece of pieces) {
    const last = joined.at(-1)
    if (last?.lastAt === piece.firstAt && isAlike(last.entry, piece.entry)) last.lastAt = piece.lastAt
    else joined.push(piece)
  }
  const isOutside = ({ firstAt, lastAt }: Version) =>
    (before !== undefined && lastAt <= before) || (after !== undefined && firstAt > after)
  const changedAt: number[] = []
  if (before !== undefined && !isAlike(earlier?.entry, entry)) changedAt.push(at)
  if (after !== undefined && !isAlike(entry, later?.entry)) changedAt.push(after)
  return { versions: [...versions.filter(isOutside), ...joined], changedAt }
}
