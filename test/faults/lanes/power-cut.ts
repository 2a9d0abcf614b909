/**
 * Lane D: the power goes at any moment of a repository's life. What was promised by then is there and whole; what was not is a
 * whole restore point or none.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { DiskChain, DiskFile } from '../../../contract/agent.ts'
import { NbdClient } from '../../../nbd/client.ts'
import type { Random } from '../../support/damage.ts'
import { openRealAgent, type RealAgent } from '../../support/real-agent.ts'
import { sealRequest } from '../../support/sealed-disk.ts'
import type { Lane } from '../lane.ts'
import { type LoggedDisk, openLoggedDisk } from '../support/logged-disk.ts'

const repositoryBytes = 96 * 2 ** 20
const diskBytes = 8 * 2 ** 20
/** A history is cut this often before another one is made. */
const cutsOfOne = 50

/** A restore point of the history; places are those of the log. */
type Point = {
  chain: DiskChain
  digest: string
  /** When its completion had been answered. */
  promised: number
  /** When its deletion was asked for and answered. */
  deleting: number
  deleted: number
}
type History = { disk: LoggedDisk; points: Point[]; moments: number[]; last: number }

const live = async (real: RealAgent, random: Random, folder: string): Promise<History> => {
  const { agent } = real
  const disk = await openLoggedDisk(folder, real.repositoryPath, repositoryBytes)
  await agent.ensureRepository('repo', real.repositoryPath)
  const points: Point[] = []
  const moments: number[] = []
  let number = 0

  const write = async (parent: Point | undefined, isCancelled: boolean) => {
    const base = `point-${++number}`
    const file: DiskFile = { repository_id: 'repo', vm_backup_context_id: 'ctx', disk_index: 0, base }
    const { port } = await agent.ensureExport(base, {
      kind: 'new',
      job_id: base,
      port: real.firstPort + (number % 20),
      file,
      virtual_size_bytes: diskBytes,
      parent_bases: parent?.chain.bases ?? [],
      shared_connections: 10,
    })
    const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
    for (let at = 0; at < 4; at++) await client.write(random(diskBytes / 4096 - 64) * 4096, randomBytes(200_000))
    client.destroy()
    if (isCancelled) await agent.dropExport(base, true)
    else {
      const { manifest_digest } = await agent.sealExport(base, sealRequest(base))
      const promised = disk.position()
      const chain = { ...file, bases: [base, ...(parent?.chain.bases ?? [])] }
      points.push({ chain, digest: manifest_digest!, promised, deleting: Infinity, deleted: Infinity })
      await agent.dropExport(base, false)
    }
    moments.push(disk.position())
  }
  const remove = async (point: Point) => {
    point.deleting = disk.position()
    await agent.deleteDiskFile({ ...point.chain, base: point.chain.bases[0]! })
    point.deleted = disk.position()
    moments.push(point.deleted)
  }

  await write(undefined, false)
  await write(points[0], false)
  await write(points[1], random(2) === 0)
  await write(undefined, false)
  await remove(points.at(-1)!)
  await write(points[0], true)
  await remove(points.length > 3 ? points[2]! : points[1]!)
  moments.push(...points.map(({ promised }) => promised))
  const last = disk.position()
  await disk.end()
  return { disk, points, moments, last }
}

export const powerCut: Lane = {
  title: "a power cut of the repository's disk",
  open: async () => {
    const real = await openRealAgent()
    const { agent } = real
    let history: History | undefined
    let [cuts, lives] = [0, 0]

    const look = async ({ chain, digest, promised, deleting, deleted }: Point, position: number): Promise<string[]> => {
      const [name] = chain.bases
      const [found] = await agent.inspectChain(chain)
      if (position >= deleted && found!.exists) return [`${name} is there again after its deletion was answered`]
      if (!found!.sealed)
        return position >= promised && position < deleting ? [`${name} is not there: ${found!.problem}`] : []
      const ask = { chain, from_bytes: 0, bytes_per_second: 0, wait_seconds: 30 }
      const { damages } = await agent.verifyFile({ ...ask, manifest_digest: position >= promised ? digest : null })
      // A deletion may be half done, if what is left is no restore point.
      if (damages.length === 0 || (position >= deleting && found!.problem !== null)) return []
      return [`${name} is damaged: ${JSON.stringify(damages)}`]
    }

    return {
      trial: async (random) => {
        if (!history || ++cuts % cutsOfOne === 0)
          history = await live(real, random, join(real.folder, `life-${++lives}`))
        const { disk, points, moments, last } = history
        // The moment of an answer is the one that counts most.
        const position = random(3) === 0 ? moments[random(moments.length)]! : random(last + 1)
        const violations = await disk.whileCut(position, random, async () => {
          const found: string[] = []
          // The folder itself came with the first file: before that there is nothing to look at.
          for (const point of points) found.push(...(await look(point, position)))
          return found
        })
        return { fired: true, what: `the power cut after write ${position} of ${last}`, violations }
      },
      close: () => real.close(),
    }
  },
}
