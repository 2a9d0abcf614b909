/** One look at everything. */
import type { Database } from '../db/database.ts'
import { allBackups } from '../db/queries/backups.ts'
import { listRepositories, repositoryPath } from '../db/queries/repositories.ts'
import { checkHost, type Host } from './check-host.ts'
import { checkRecords } from './check-records.ts'
import { checkRepository } from './check-repositories.ts'
import type { Finding } from './finding.ts'

/** @returns what is not as it must be; a hub that works changes things meanwhile, so what one look alone sees may be none */
export const look = async (db: Database, host: Host, now: Date): Promise<Finding[]> => {
  const backups = await allBackups(db.orm)
  const repositories = (await listRepositories(db.orm)).filter(({ repositoryType }) => repositoryType === 'local')
  const found = await Promise.all([
    checkRecords(db, backups, now),
    ...repositories.map((row) =>
      checkRepository(
        { id: row.id, path: repositoryPath(row) },
        backups.filter(({ job }) => job.repositoryId === row.id),
      ),
    ),
    checkHost(host),
  ])
  return found.flat()
}
