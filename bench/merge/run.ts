/** How much slower is a merge, durable and checked, than qemu-img commit of the same increment, a sync, and the removal of what was committed? */
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { MergeBody } from '../../contract/agent.ts'
import { mergeNode } from '../../host-agent/exports/qcow2.ts'
import { NbdClient } from '../../nbd/client.ts'
import { sh } from '../../test/support/images.ts'
import { openRealAgent } from '../../test/support/real-agent.ts'
import { sealRequest } from '../../test/support/sealed-disk.ts'
import { print, row, seconds, sideBySide } from '../support/measure.ts'

const mib = 2 ** 20
const diskBytes = 4096 * mib
const pieceBytes = mib
const changedPieces = 1024
const disk = { repository_id: 'repo', vm_backup_context_id: 'ctx-merged', disk_index: 0 }
const bases = ['full', 'increment'] as const

const real = await openRealAgent()
const { agent } = real
try {
  await agent.ensureRepository('repo', real.repositoryPath)
  const folder = join(real.repositoryPath, 'ctx-merged/disk-0')
  const kept = join(real.folder, 'kept')
  mkdirSync(kept)
  const suffixes = ['.qcow2', '.blocks', '.manifest.json']
  const write = async (base: string, parents: string[], fill: (client: NbdClient) => Promise<void>) => {
    const port = real.firstPort + parents.length
    await agent.ensureExport(base, {
      kind: 'new',
      job_id: base,
      port,
      file: { ...disk, base },
      virtual_size_bytes: diskBytes,
      parent_bases: parents,
      shared_connections: 10,
    })
    const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
    await fill(client)
    client.close()
    const state = await agent.sealExport(base, sealRequest(base))
    if (state.status !== 'sealed') throw new Error(state.error_message ?? state.status)
    await agent.dropExport(base, false)
  }
  const data = randomBytes(16 * mib)
  await write('full', [], async (client) => {
    for (let at = 0; at < diskBytes; at += data.length) await client.write(at, data)
  })
  await write('increment', ['full'], async (client) => {
    for (let piece = 0; piece < changedPieces; piece++)
      await client.write(piece * (diskBytes / changedPieces), data.subarray(0, pieceBytes))
  })
  for (const base of bases)
    for (const suffix of suffixes) copyFileSync(join(folder, base + suffix), join(kept, base + suffix))

  /** As before the merge, on the disk and in memory. */
  const restore = (to: string) => {
    mkdirSync(to, { recursive: true })
    for (const base of bases)
      for (const suffix of suffixes) {
        rmSync(join(to, base + suffix), { force: true })
        copyFileSync(join(kept, base + suffix), join(to, base + suffix))
        sh('/usr/bin/sync', [join(to, base + suffix)])
      }
  }
  const ours = async () => {
    restore(folder)
    const body: Omit<MergeBody, 'step'> = {
      disk,
      base: 'full',
      into_base: 'increment',
      below_bases: [],
      stored_bytes: 0,
      wait_seconds: 60,
    }
    return seconds(async () => {
      await agent.mergeFile({ ...body, step: 'prepare' })
      await agent.mergeFile({ ...body, step: 'finish' })
    })
  }
  const byHand = async () => {
    const own = join(real.folder, 'by-hand')
    restore(own)
    const [increment, full] = [join(own, 'increment.qcow2'), join(own, 'full.qcow2')]
    return seconds(async () => {
      sh('/usr/bin/qemu-img', ['commit', '-q', '-d', '--', `json:${JSON.stringify(mergeNode([increment, full]))}`])
      sh('/usr/bin/sync', [full])
      sh('/usr/bin/rm', ['--', increment])
    })
  }
  const { merge, commit } = await sideBySide({ merge: ours, commit: byHand })
  print([
    row(
      `Merge of an increment of ${changedPieces} MiB into a full of ${diskBytes / mib} MiB, durable and checked`,
      `${merge.toFixed(2)} s`,
      `qemu-img commit, sync and rm: ${commit.toFixed(2)} s`,
      commit / merge,
      '≥ 0.8',
      commit / merge >= 0.8,
    ),
  ])
} finally {
  await real.close()
}
