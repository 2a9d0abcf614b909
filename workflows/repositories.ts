/** What several repository functions share: measuring, configurations, and making them known to the agent. */
import { z } from 'zod'
import type { RepositoryPlace, RepositoryStorage } from '../contract/agent.ts'
import type { RepositoryConfig, Storage } from '../contract/api/repositories.ts'
import { HubError } from '../contract/errors.ts'
import { cifsFields, mountOptions, nfsFields } from '../contract/shares.ts'
import {
  listRepositories,
  type RepositoryRow,
  repositoryPath,
  storeMeasurement,
  toStorage,
} from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import type { Keys } from '../runtime/bindings/keys.ts'
import { openSecret, sealSecret } from './secrets.ts'

type Type = RepositoryRow['repositoryType']
/** As a row keeps it: a password is encrypted, and where the files lie is always said. */
export type StoredConfig = Record<string, unknown>

const defaultMountRoot = '/mnt/sendense/repositories'
const plainPath = (path: string) => path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '')

const nfsConfig = z.object({ ...nfsFields, mount_options: mountOptions('nfs').default([]) })
const cifsConfig = z.object({ ...cifsFields, mount_options: mountOptions('cifs').default([]) })

const check = <S extends z.ZodType>(schema: S, config: unknown): z.output<S> => {
  const result = schema.safeParse(config)
  if (result.success) return result.data
  throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
    fields: result.error.issues.slice(0, 20).map((issue) => ({
      field: ['config', ...issue.path].join('.'),
      message: issue.message,
      code: issue.code === 'invalid_type' ? 'REQUIRED' : 'FORMAT',
    })),
  })
}

/**
 * Where a repository lies, as its configuration says it.
 * @param id names the folder that a share is mounted at, unless the configuration does
 * @throws UNSUPPORTED_REPOSITORY_TYPE, VALIDATION_FAILED
 */
export const placeOf = (type: Type, id: string, config: RepositoryConfig): RepositoryPlace => {
  const mount_point = plainPath(config.mount_point ?? `${defaultMountRoot}/${id}`)
  switch (type) {
    case 'local': {
      const path = config.path ?? config.disk_path
      if (path === undefined)
        throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
          fields: [{ field: 'config.path', message: 'is required', code: 'REQUIRED' }],
        })
      return plainPath(path)
    }
    case 'nfs': {
      const { mount_options: options, ...share } = check(nfsConfig, config)
      return { type: 'nfs', ...share, mount_point, options }
    }
    case 'cifs':
    case 'smb': {
      const { mount_options: options, ...share } = check(cifsConfig, config)
      return { type: 'cifs', ...share, mount_point, options }
    }
    default:
      throw new HubError('UNSUPPORTED_REPOSITORY_TYPE', `Repositories of type ${type} are not supported`, {
        details: 'use local, nfs, cifs or smb',
      })
  }
}
export const pathOf = (place: RepositoryPlace): string => (typeof place === 'string' ? place : place.mount_point)

/** @throws UNSUPPORTED_REPOSITORY_TYPE, VALIDATION_FAILED */
export const storedConfig = (keys: Keys, place: RepositoryPlace, config: RepositoryConfig): StoredConfig => {
  const { disk_path: _, password, ...shown } = config
  if (typeof place === 'string') return { ...shown, path: place }
  const secret = password === undefined ? {} : { password_encrypted: sealSecret(keys, 'repository password', password) }
  return { ...shown, ...secret, mount_point: place.mount_point }
}

/** As it was sent, password included. */
export const openConfig = (keys: Keys, row: RepositoryRow): RepositoryConfig => {
  const { password_encrypted, ...config } = row.config as RepositoryConfig & { password_encrypted?: string }
  return password_encrypted === undefined
    ? config
    : { ...config, password: openSecret(keys, 'repository password', password_encrypted) }
}
/** Of a row that was checked when it was written. */
export const placeOfRow = (keys: Keys, row: RepositoryRow): RepositoryPlace =>
  placeOf(row.repositoryType, row.id, openConfig(keys, row))

/** A configuration with the sent fields in the place of those that it had. */
export const changedConfig = (before: RepositoryConfig, { disk_path, ...sent }: RepositoryConfig): RepositoryConfig => {
  const given = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== undefined))
  return { ...before, ...(disk_path === undefined ? {} : { path: disk_path }), ...given }
}

/** Whether files of one are not found in the other. A server may be reached by another name. */
export const isElsewhere = (place: RepositoryPlace, before: RepositoryPlace): boolean => {
  const folder = (one: RepositoryPlace) =>
    typeof one === 'string' ? one : `${one.mount_point} ${one.type === 'nfs' ? one.export_path : one.share_name}`
  return folder(place) !== folder(before)
}

const within = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`)
/** @throws VALIDATION_FAILED when the place overlaps another repository's */
export const refuseOverlap = async ({ DB }: Env<'DB'>, place: RepositoryPlace, ownId?: string): Promise<void> => {
  const path = pathOf(place)
  const field = typeof place === 'string' ? 'config.path' : 'config.mount_point'
  for (const row of await listRepositories(DB.orm)) {
    if (row.id === ownId) continue
    const other = repositoryPath(row)
    if (within(path, other) || within(other, path))
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        details: `the path overlaps the repository ${row.name}`,
        fields: [{ field, message: `overlaps the repository ${row.name}`, code: 'FORBIDDEN' }],
      })
  }
}

/** Measures now and keeps the figures. A repository that the agent has forgotten is made known to it again. @throws SERVICE_UNAVAILABLE */
export const measureRepository = async (
  { DB, AGENT, CLOCK, KEYS }: Env<'DB' | 'AGENT' | 'CLOCK' | 'KEYS'>,
  row: RepositoryRow,
  backups: number,
): Promise<Storage> => {
  let measured: RepositoryStorage
  try {
    measured = await AGENT.repositoryStorage(row.id)
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'REPOSITORY_NOT_FOUND') throw error
    measured = await AGENT.ensureRepository(row.id, placeOfRow(KEYS, row)).catch((cause: unknown) => {
      throw new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer', { cause })
    })
  }
  const at = CLOCK.now()
  await storeMeasurement(DB.orm, row.id, measured, at)
  return toStorage(row.id, measured, backups, at)
}

/** The same; null when it can't be measured. */
export const measureOrNull = (
  env: Env<'DB' | 'AGENT' | 'CLOCK' | 'KEYS'>,
  row: RepositoryRow,
  backups: number,
): Promise<Storage | null> => measureRepository(env, row, backups).catch(() => null)

/** Tells the agent of every repository; one that is offline is told later, when it is used. */
export const announceRepositories = async ({ DB, AGENT, KEYS }: Env<'DB' | 'AGENT' | 'KEYS'>): Promise<void> => {
  await Promise.all(
    (await listRepositories(DB.orm)).map((row) =>
      AGENT.ensureRepository(row.id, placeOfRow(KEYS, row)).catch(() => undefined),
    ),
  )
}
