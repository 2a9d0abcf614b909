/** What is mounted by somebody else is never ours to unmount. Shares themselves are tested in the lab. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { NetworkShare } from '../../contract/shares.ts'
import { sh } from '../support/images.ts'
import { openRealAgent } from '../support/real-agent.ts'

it('leaves alone what lies at the mount point of a share that is tested or added', async () => {
  const real = await openRealAgent()
  const at = join(real.folder, 'foreign')
  mkdirSync(at)
  sh('/usr/bin/mount', ['-t', 'tmpfs', 'tmpfs', at])
  try {
    const share: NetworkShare = {
      type: 'nfs',
      server: '127.0.0.1',
      export_path: '/backup',
      nfs_version: '4.1',
      mount_point: at,
      options: [],
    }
    const refused = { code: 'REPOSITORY_TEST_FAILED', details: `${at} is mounted already, from tmpfs` }
    await expect(real.agent.testRepository(share)).rejects.toMatchObject(refused)
    await expect(real.agent.ensureRepository('nas', share)).rejects.toMatchObject(refused)
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toContain(` ${at} `)
  } finally {
    sh('/usr/bin/umount', [at])
    await real.close()
  }
})
