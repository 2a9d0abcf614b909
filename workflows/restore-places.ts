/** Where a restore point can be read, and reading it from the first place that gives it. */
import type { DiskChain } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import type { DiskRow, JobWithDisks } from '../db/queries/backups.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, isWhole, placesOfCopies } from './chain-files.ts'

/** Where disks can be read: their own repository as long as nothing is known to be wrong there, then its copies. */
export type Place = { chains: DiskChain[]; copyIn: string | null }

/** @param wanted the one repository to read from; undefined: any @throws CHAIN_BROKEN, COPY_NOT_FOUND */
export const placesOf = async (
  { DB }: Env<'DB'>,
  backup: JobWithDisks,
  disks: readonly DiskRow[],
  wanted: string | undefined,
): Promise<Place[]> => {
  const chain = await chainOf(DB.orm, backup)
  const own = disks.map(({ diskIndex }) => diskChainOf(chain, diskIndex))
  const isOwnWanted = wanted === undefined || wanted === backup.job.repositoryId
  const isComplete = chain.at(-1)?.job.backupType === 'full'
  const places: Place[] = isOwnWanted && isWhole(chain) ? [{ chains: own, copyIn: null }] : []
  for (const repositoryId of isComplete ? await placesOfCopies({ DB }, chain) : [])
    if (wanted === undefined || wanted === repositoryId)
      places.push({ chains: own.map((disk) => ({ ...disk, repository_id: repositoryId })), copyIn: repositoryId })
  if (places.length > 0) return places
  if (!isOwnWanted) throw new HubError('COPY_NOT_FOUND', 'This repository holds no complete copy of the backup')
  throw new HubError('CHAIN_BROKEN', 'This backup, or one that it builds on, is missing or damaged', {
    details: 'GET /backups/{backup_id} names what is damaged',
  })
}

/** What says that a place holds no such disk any more, but not that another one does not. */
const isGone = (error: unknown) =>
  error instanceof HubError && ['CHAIN_BROKEN', 'REPOSITORY_NOT_FOUND', 'SERVICE_UNAVAILABLE'].includes(error.code)

/** @param undo frees what a place that failed may have left @throws what the first one said when none gives it */
export const fromPlaces = async <T>(
  places: readonly Place[],
  open: (place: Place) => Promise<T>,
  undo: () => Promise<void> = async () => undefined,
): Promise<{ result: T; place: Place }> => {
  let first: unknown
  for (const place of places)
    try {
      return { result: await open(place), place }
    } catch (error) {
      first ??= error
      if (!isGone(error)) throw error
      await undo()
    }
  throw first
}
