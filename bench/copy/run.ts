/** How much slower is the copy of a chain into another repository, durable and complete, than cp of the same files with fsync? */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskFile } from '../../contract/agent.ts'
import { NbdClient } from '../../nbd/client.ts'
import { sh } from '../../test/support/images.ts'
import { openRealAgent, type RealAgent } from '../../test/support/real-agent.ts'
import { sealRequest } from '../../test/support/sealed-disk.ts'
import { print, row, seconds, sideBySide } from '../support/measure.ts'

const mib = 2 ** 20
const diskBytes = 1024 * mib
const changedBytes = 64 * mib
const place = { vm_backup_context_id: 'ctx-copied', disk_index: 0 }
const bases = ['full', 'increment']

const write = async (real: RealAgent, base: string, parents: string[], bytes: number) => {
  const port = real.firstPort + parents.length
  await real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port,
    file: { repository_id: 'repo', ...place, base },
    virtual_size_bytes: diskBytes,
    parent_bases: parents,
    shared_connections: 10,
  })
  const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
  const data = randomBytes(16 * mib)
  for (let at = 0; at < bytes; at += data.length) await client.write(at, data)
  client.close()
  const state = await real.agent.sealExport(base, sealRequest(base))
  if (state.status !== 'sealed') throw new Error(state.error_message ?? state.status)
  await real.agent.dropExport(base, false)
}

const real = await openRealAgent()
try {
  const [second, byHand] = [join(real.folder, 'second'), join(real.folder, 'by-hand')]
  mkdirSync(second)
  await real.agent.ensureRepository('repo', real.repositoryPath)
  await real.agent.ensureRepository('second', second)
  await write(real, 'full', [], diskBytes)
  await write(real, 'increment', ['full'], changedBytes)

  const copied = async () => {
    const took = await seconds(async () => {
      for (const base of bases) {
        const file: DiskFile = { repository_id: 'repo', ...place, base }
        const ask = { file, to_repository_id: 'second', manifest_digest: null, replace: false, bytes_per_second: 0 }
        let isDone = false
        while (!isDone) isDone = (await real.agent.copyFile({ ...ask, wait_seconds: 30 })).status === 'done'
      }
    })
    for (const base of bases) await real.agent.deleteDiskFile({ repository_id: 'second', ...place, base })
    return took
  }
  const withCp = async () => {
    mkdirSync(byHand)
    const folder = join(real.repositoryPath, 'ctx-copied/disk-0')
    const took = await seconds(async () => {
      for (const name of readdirSync(folder)) {
        sh('/usr/bin/cp', ['--', join(folder, name), byHand])
        sh('/usr/bin/sync', [join(byHand, name)])
      }
    })
    rmSync(byHand, { recursive: true })
    return took
  }
  const { ours, cp } = await sideBySide({ ours: copied, cp: withCp })
  print([
    row(
      'Copy of a chain (1 GiB and 64 MiB), durable',
      `${ours.toFixed(2)} s`,
      `cp and fsync of the same files: ${cp.toFixed(2)} s`,
      cp / ours,
      '≥ 0.85',
      cp / ours >= 0.85,
    ),
  ])
} finally {
  await real.close()
}
