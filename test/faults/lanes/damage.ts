/** Lane E: files of a repository are damaged in every way; verify finds each, names it, and cries wolf never. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { DiskChain } from '../../../contract/agent.ts'
import { NbdClient } from '../../../nbd/client.ts'
import { whileDamaged } from '../../support/damage.ts'
import { openRealAgent } from '../../support/real-agent.ts'
import { sealRequest } from '../../support/sealed-disk.ts'
import type { Lane } from '../lane.ts'

const mib = 2 ** 20
/** No multiple of a cluster or a block. */
const diskBytes = 13 * mib + 512
/** Newest first. */
const bases = ['third', 'second', 'first']
const suffixes = ['.qcow2', '.qcow2', '.qcow2', '.blocks', '.manifest.json']

export const damage: Lane = {
  title: 'damage to files of a repository',
  open: async () => {
    const real = await openRealAgent()
    await real.agent.ensureRepository('repo', real.repositoryPath)
    const place = { repository_id: 'repo', vm_backup_context_id: 'ctx-damage', disk_index: 0 }
    const chainOf = (base: string): DiskChain => ({ ...place, bases: bases.slice(bases.indexOf(base)) })
    const digests = new Map<string, string>()
    for (const [at, base] of bases.toReversed().entries()) {
      const port = real.firstPort + at
      await real.agent.ensureExport(base, {
        kind: 'new',
        job_id: base,
        port,
        file: { ...place, base },
        virtual_size_bytes: diskBytes,
        parent_bases: chainOf(base).bases.slice(1),
        shared_connections: 10,
      })
      const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
      if (at === 0) for (let offset = 0; offset < 9; offset += 2) await client.write(offset * mib, randomBytes(mib))
      else await client.write(at * 5 * mib - 4096, randomBytes(200_000))
      await client.writeZeroes((at + 1) * mib, 100_000)
      await client.write(diskBytes - 512, randomBytes(512))
      client.close()
      digests.set(base, (await real.agent.sealExport(base, sealRequest(base))).manifest_digest!)
      await real.agent.dropExport(base, false)
    }
    const verify = async (base: string) =>
      (
        await real.agent.verifyFile({
          chain: chainOf(base),
          manifest_digest: digests.get(base)!,
          from_bytes: 0,
          bytes_per_second: 0,
          wait_seconds: 30,
        })
      ).damages
    const folder = join(real.repositoryPath, 'ctx-damage/disk-0')

    return {
      trial: async (random) => {
        const violations: string[] = []
        const base = bases[random(bases.length)]!
        const other = bases[(bases.indexOf(base) + 1 + random(2)) % bases.length]!
        const suffix = suffixes[random(suffixes.length)]!
        const name = `${base}${suffix}`
        const falseAlarms = await verify(base)
        if (falseAlarms.length > 0) violations.push(`false alarm: ${JSON.stringify(falseAlarms)}`)
        const look = async () => {
          const found = await verify(base)
          if (!found.some(({ file }) => file === name)) violations.push(`not found; said ${JSON.stringify(found)}`)
        }
        const done = await whileDamaged(join(folder, name), join(folder, `${other}${suffix}`), random, look)
        return { fired: done !== undefined, what: `${name}: ${done ?? 'nothing changed'}`, violations }
      },
      close: () => real.close(),
    }
  },
}
