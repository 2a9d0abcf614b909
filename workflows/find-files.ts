/** Finds files in the index of restore points, and gets one of them. */

import type { Readable } from 'node:stream'
import type { z } from 'zod'
import type { FileInfo } from '../contract/agent.ts'
import type {
  diffAnswer,
  diffQuery,
  FileKind,
  fetchQuery,
  historyAnswer,
  historyQuery,
  searchAnswer,
  searchQuery,
} from '../contract/api/files.ts'
import { HubError } from '../contract/errors.ts'
import { wordsOf } from '../contract/names.ts'
import { differences } from '../db/queries/file-differences.ts'
import { versionsOf } from '../db/queries/file-history.ts'
import { contextsOfVm, findIndex, type IndexedPoint, indexedPoints } from '../db/queries/file-index.ts'
import { joinedPath, splitPath } from '../db/queries/file-paths.ts'
import type { VersionRow } from '../db/queries/file-rows.ts'
import { searchVersions } from '../db/queries/file-search.ts'
import { isAt } from '../db/queries/file-timeline.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { guestPath } from './guest-path.ts'
import { fromPlaces, placesOf } from './restore-places.ts'
import { restorePoint } from './restore-point.ts'

/** Words that are looked at; more say nothing new. */
const wordsMax = 8
const diffLimit = 200

const kindWords: Record<VersionRow['kind'], FileKind> = { f: 'file', d: 'directory', l: 'link', o: 'other' }
const kindLetters = { file: 'f', directory: 'd' } as const
const timeOf = (microseconds: number) => new Date(Math.floor(microseconds / 1000)).toISOString()
const versionOf = ({ kind, size, modified, sha256 }: Pick<VersionRow, 'kind' | 'size' | 'modified' | 'sha256'>) => ({
  type: kindWords[kind],
  size,
  modified_time: timeOf(modified),
  sha256: sha256?.toString('hex') ?? null,
})
const placeOf = ({ volume, folder, name }: Pick<VersionRow, 'volume' | 'folder' | 'name'>) => ({
  volume,
  ...joinedPath(folder, name),
})

/** Points of each VM's folder, the newest first. */
const pointsByContext = async ({ DB }: Env<'DB'>, contexts: Iterable<string>): Promise<Map<string, IndexedPoint[]>> => {
  const found = new Map<string, IndexedPoint[]>()
  for (const point of await indexedPoints(DB.orm, [...new Set(contexts)]))
    found.set(point.vmBackupContextId, [...(found.get(point.vmBackupContextId) ?? []), point])
  return found
}
/** Points that have a version, the newest first. */
const holdersOf = ({ contextId, firstAt, lastAt }: VersionRow, points: ReadonlyMap<string, IndexedPoint[]>) =>
  (points.get(contextId) ?? []).filter(({ pointAt }) => isAt({ firstAt, lastAt }, pointAt))

export const searchFiles = async (
  env: Env<'DB'>,
  { q, sha256, vm_name, type, deleted, limit, offset }: z.output<typeof searchQuery>,
): Promise<z.infer<typeof searchAnswer>> => {
  const words = wordsOf(q ?? '', wordsMax)
  if (words.length === 0 && sha256 === undefined)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: 'q', message: 'must have a letter or a digit', code: 'REQUIRED' }],
    })
  const kind = type === undefined ? undefined : kindLetters[type]
  const rows = await searchVersions(env.DB, {
    words,
    sha256,
    vmName: vm_name,
    kind,
    withOld: deleted,
    limit: limit + 1,
    offset,
  })
  const shown = rows.slice(0, limit)
  const points = await pointsByContext(
    env,
    shown.map(({ contextId }) => contextId),
  )
  const hasMore = rows.length > limit
  return {
    files: shown.flatMap((row) => {
      const [newest] = holdersOf(row, points)
      // Retention has taken the points that had it.
      if (!newest) return []
      return [
        {
          vm_name: row.vmName,
          ...placeOf(row),
          ...versionOf(row),
          backup_id: newest.backupJobId,
          completed_at: new Date(newest.pointAt).toISOString(),
          is_current: newest === points.get(row.contextId)![0],
        },
      ]
    }),
    has_more: hasMore,
    next_offset: hasMore ? offset + limit : null,
  }
}

/** @throws PATH_INVALID */
export const fileHistory = async (
  env: Env<'DB'>,
  { vm_name, volume, ...path }: z.output<typeof historyQuery>,
): Promise<z.infer<typeof historyAnswer>> => {
  const contexts = await contextsOfVm(env.DB.orm, vm_name)
  const rows = await versionsOf(env.DB, contexts, splitPath(Buffer.from(guestPath(path).path_b64, 'base64')), volume)
  const points = await pointsByContext(env, contexts)
  return {
    vm_name,
    versions: rows.flatMap((row) => {
      const holders = holdersOf(row, points)
      const [last, first] = [holders[0], holders.at(-1)]
      if (!first || !last) return []
      return [
        {
          ...placeOf(row),
          ...versionOf(row),
          point_count: holders.length,
          first_backup_id: first.backupJobId,
          first_completed_at: new Date(first.pointAt).toISOString(),
          last_backup_id: last.backupJobId,
          last_completed_at: new Date(last.pointAt).toISOString(),
        },
      ]
    }),
  }
}

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED, NOT_INDEXED */
export const diffPoints = async (
  { DB }: Env<'DB'>,
  backupId: string,
  otherId: string,
  { path, limit = diffLimit, offset = 0 }: z.output<typeof diffQuery>,
): Promise<z.infer<typeof diffAnswer>> => {
  const points = []
  for (const id of [backupId, otherId]) {
    await restorePoint(DB.orm, id)
    const index = await findIndex(DB.orm, id)
    if (index?.status !== 'completed')
      throw new HubError('NOT_INDEXED', 'The files of this backup are not indexed', {
        details: `POST /backups/${id}/index has it done`.slice(0, 200),
      })
    points.push(index)
  }
  const [from, to] = points as [(typeof points)[0], (typeof points)[0]]
  if (from.vmBackupContextId !== to.vmBackupContextId)
    throw new HubError('NOT_INDEXED', 'These are not backups of one VM in one repository')
  const below = (path ?? '').replace(/\/+$/, '')
  const rows = await differences(DB, from.vmBackupContextId, {
    points: [from.pointAt, to.pointAt],
    below,
    limit: limit + 1,
    offset,
  })
  const hasMore = rows.length > limit
  return {
    backup_id: backupId,
    other_id: otherId,
    changes: rows.slice(0, limit).flatMap(({ before, after }) => {
      const row = before ?? after
      // Deleted meanwhile.
      if (!row) return []
      return [
        {
          ...placeOf(row),
          change: before ? (after ? 'changed' : 'removed') : 'added',
          before: before ? versionOf(before) : null,
          after: after ? versionOf(after) : null,
        } as const,
      ]
    }),
    has_more: hasMore,
    next_offset: hasMore ? offset + limit : null,
  }
}

/** @throws what POST /restore/mount does, and what a download of a file does */
export const fetchFile = async (
  env: Env<'DB' | 'AGENT'>,
  backupId: string,
  { volume, ...path }: z.output<typeof fetchQuery>,
): Promise<{ info: FileInfo; content: Readable }> => {
  const backup = await restorePoint(env.DB.orm, backupId)
  const { path_b64 } = guestPath(path)
  const places = await placesOf(env, backup, backup.disks, undefined)
  const body = { vm_name: backup.job.vmName, volume, path_b64 }
  const { result } = await fromPlaces(places, ({ chains }) => env.AGENT.fetchFile({ ...body, disks: chains }))
  return result
}
