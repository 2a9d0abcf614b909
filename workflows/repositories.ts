/** What several repository functions share: measuring, configurations, and making them known to the agent. */
import type { RepositoryStorage } from '../contract/agent.ts'
import type { Storage } from '../contract/api/repositories.ts'
import { HubError } from '../contract/errors.ts'
import {
  listRepositories,
  type RepositoryRow,
  repositoryPath,
  storeMeasurement,
  toStorage,
} from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'

type Type = RepositoryRow['repositoryType']

/** The folder of a local repository. @throws UNSUPPORTED_REPOSITORY_TYPE, VALIDATION_FAILED */
export const localPath = (
  type: Type,
  config: { path?: string | undefined; disk_path?: string | undefined },
): string => {
  if (type !== 'local')
    throw new HubError('UNSUPPORTED_REPOSITORY_TYPE', `Repositories of type ${type} are not supported`, {
      details: 'use local',
    })
  const path = config.path ?? config.disk_path
  if (path === undefined)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: 'config.path', message: 'is required', code: 'REQUIRED' }],
    })
  return path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '')
}

const within = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`)
/** @throws VALIDATION_FAILED when the path overlaps another repository */
export const refuseOverlap = async ({ DB }: Env<'DB'>, path: string, ownId?: string): Promise<void> => {
  for (const row of await listRepositories(DB.orm)) {
    if (row.id === ownId || row.repositoryType !== 'local') continue
    const other = repositoryPath(row)
    if (within(path, other) || within(other, path))
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        details: `the path overlaps the repository ${row.name}`,
        fields: [{ field: 'config.path', message: `overlaps the repository ${row.name}`, code: 'FORBIDDEN' }],
      })
  }
}

/** Measures now and keeps the figures. A repository that the agent has forgotten is made known to it again. @throws SERVICE_UNAVAILABLE */
export const measureRepository = async (
  { DB, AGENT, CLOCK }: Env<'DB' | 'AGENT' | 'CLOCK'>,
  row: RepositoryRow,
  backups: number,
): Promise<Storage> => {
  let measured: RepositoryStorage
  try {
    measured = await AGENT.repositoryStorage(row.id)
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'REPOSITORY_NOT_FOUND') throw error
    measured = await AGENT.ensureRepository(row.id, repositoryPath(row)).catch((cause: unknown) => {
      throw new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer', { cause })
    })
  }
  const at = CLOCK.now()
  await storeMeasurement(DB.orm, row.id, measured, at)
  return toStorage(row.id, measured, backups, at)
}

/** The same; null when it can't be measured. */
export const measureOrNull = (
  env: Env<'DB' | 'AGENT' | 'CLOCK'>,
  row: RepositoryRow,
  backups: number,
): Promise<Storage | null> => measureRepository(env, row, backups).catch(() => null)

/** Tells the agent of every repository; one that is offline is told later, when it is used. */
export const announceRepositories = async ({ DB, AGENT }: Env<'DB' | 'AGENT'>): Promise<void> => {
  for (const row of await listRepositories(DB.orm))
    await AGENT.ensureRepository(row.id, repositoryPath(row)).catch(() => undefined)
}
