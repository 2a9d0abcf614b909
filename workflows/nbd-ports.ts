/** The allocator of NBD ports, for backups and for the NBD routes alike. */
import { HubError } from '../contract/errors.ts'
import { type Database, isDuplicate } from '../db/database.ts'
import { deleteExpiredPorts, insertPorts, listPorts, type PortRow, portsOfJob } from '../db/queries/ports.ts'

/** Renewed while a qemu-nbd runs on the port. */
export const leaseSeconds = 24 * 3600

type Request = {
  jobId: string
  vmName: string | null
  /** One port for each. */
  exportNames: string[]
  range: { first: number; last: number }
  /** Ports that somebody outside uses right now. */
  avoid?: ReadonlySet<number>
  now: Date
}

const exhausted = (free: number, wanted: number) =>
  new HubError('NBD_PORTS_EXHAUSTED', 'Not enough NBD ports are free', {
    details: `${wanted} needed, ${free} free`,
    headers: { 'Retry-After': '60' },
  })

/** How often two allocations may meet before we give up. */
const attemptsMax = 20

/**
 * All or nothing; the same job and names again get the same ports.
 * @throws NBD_PORTS_EXHAUSTED, EXPORT_IN_USE when another job holds one of the names
 */
export const allocatePorts = async (
  db: Database,
  { jobId, vmName, exportNames, range, avoid = new Set(), now }: Request,
): Promise<PortRow[]> => {
  for (let attempt = 1; ; attempt++) {
    await deleteExpiredPorts(db.orm, now)
    const taken = await listPorts(db.orm)
    const mine = exportNames.map((name) => taken.find((row) => row.exportName === name && row.jobId === jobId))
    if (mine.every((row) => row !== undefined)) return mine
    const foreign = taken.find((row) => exportNames.includes(row.exportName) && row.jobId !== jobId)
    if (foreign) throw new HubError('EXPORT_IN_USE', `The export name ${foreign.exportName} is in use`)

    const missing = exportNames.filter((_, at) => mine[at] === undefined)
    const used = new Set(taken.map(({ port }) => port))
    const free: number[] = []
    for (let port = range.first; port <= range.last && free.length < missing.length; port++)
      if (!used.has(port) && !avoid.has(port)) free.push(port)
    if (free.length < missing.length) throw exhausted(free.length, missing.length)
    const expiresAt = new Date(now.getTime() + leaseSeconds * 1000)
    try {
      await insertPorts(
        db.orm,
        missing.map((exportName, at) => ({ port: free[at]!, jobId, exportName, vmName, allocatedAt: now, expiresAt })),
      )
    } catch (error) {
      // Another hub or request was faster; look again.
      if (!isDuplicate(error) || attempt === attemptsMax) throw error
      continue
    }
    return (await portsOfJob(db.orm, jobId)).filter((row) => exportNames.includes(row.exportName))
  }
}
