/** One look at everything. */
import type { Database } from '../db/database.ts'
import { allBackups } from '../db/queries/backups.ts'
import { allCopies, openHeals } from '../db/queries/copies.ts'
import { listRepositories, repositoryPath } from '../db/queries/repositories.ts'
import { checkHost, type Host } from './check-host.ts'
import { checkRecords } from './check-records.ts'
import { checkRepository } from './check-repositories.ts'
import type { Finding } from './finding.ts'

/** @returns what is not as it must be; a hub that works changes things meanwhile, so what one look alone sees may be none */
export const look = async (db: Database, host: Host, now: Date): Promise<Finding[]> => {
  const backups = await allBackups(db.orm)
  const byId = new Map(backups.map((backup) => [backup.job.id, backup]))
  const copies = (await allCopies(db.orm)).flatMap(({ repositoryId, sourceBackupId, status }) => {
    const backup = byId.get(sourceBackupId)
    return backup ? [{ repositoryId, backup, status }] : []
  })
  const isHealing = (await openHeals(db.orm)).length > 0
  const repositories = (await listRepositories(db.orm)).filter(({ repositoryType }) => repositoryType === 'local')
  const found = await Promise.all([
    checkRecords(db, backups, now),
    ...repositories.map((row) =>
      checkRepository(
        { id: row.id, path: repositoryPath(row) },
        {
          backups: backups.filter(({ job }) => job.repositoryId === row.id),
          copies: copies.filter(({ repositoryId }) => repositoryId === row.id),
          isHealing,
        },
      ),
    ),
    checkHost(host),
  ])
  return found.flat()
}
