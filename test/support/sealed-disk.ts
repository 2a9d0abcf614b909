/** Puts a raw image into a repository as a sealed backup of one disk, through the agent alone. */

import { statSync } from 'node:fs'
import type { DiskChain, MountBody } from '../../contract/agent.ts'
import { copyInto } from './images.ts'
import type { RealAgent } from './real-agent.ts'

let number = 0

export const sealRequest = (base: string, changeId: string | null = 'change') => ({
  wait_seconds: 60,
  change_id: changeId,
  bytes_transferred: null,
  manifest: {
    backup_id: base,
    backup_type: 'full' as const,
    parent_backup_id: null,
    vm_name: 'vm',
    vm_context_id: null,
    source: { vcenter_host: null, vm_path: null, vm_id: null },
    disk_count: 1,
    disk_label: null,
    created_at: '2026-01-01T00:00:00.000Z',
  },
})

/** @returns its chain */
export const sealedDisk = async (
  { agent, repositoryPath, firstPort }: RealAgent,
  image: string,
): Promise<DiskChain> => {
  await agent.ensureRepository('repo', repositoryPath)
  const base = `disk-${++number}`
  const file = { repository_id: 'repo', vm_backup_context_id: `ctx-${base}`, disk_index: 0, base }
  const port = firstPort + (number % 30)
  await agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port,
    file,
    virtual_size_bytes: statSync(image).size,
    parent_bases: [],
    shared_connections: 10,
  })
  copyInto(image, port, base)
  const state = await agent.sealExport(base, sealRequest(base))
  if (state.status !== 'sealed') throw new Error(`${state.status}: ${state.error_message}`)
  await agent.dropExport(base, false)
  return {
    repository_id: 'repo',
    vm_backup_context_id: file.vm_backup_context_id,
    disk_index: 0,
    bases: [base],
  }
}

export const mountOf = (...disks: DiskChain[]): MountBody => ({ vm_name: 'vm', disks })
