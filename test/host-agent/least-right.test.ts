/** What the processes that the agent starts may do. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ensureExportUsers } from '../../runtime/host.ts'
import { copyInto, filesystemImage, sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { sealRequest } from '../support/sealed-disk.ts'

let real: RealAgent
let image: string
beforeAll(async () => {
  real = await openRealAgent()
  image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, () => undefined)
  await real.agent.ensureRepository('repo', real.repositoryPath)
})
afterAll(() => real.close())

const disk = { repository_id: 'repo', vm_backup_context_id: 'ctx-least', disk_index: 0 }
const write = async (base: string, parents: string[], port: number) => {
  const { pid } = await real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port: real.firstPort + port,
    file: { ...disk, base },
    virtual_size_bytes: 64 << 20,
    parent_bases: parents,
    shared_connections: 10,
  })
  return pid!
}
const folder = () => join(real.repositoryPath, disk.vm_backup_context_id)
const qcow2 = (base: string) => join(folder(), 'disk-0', `${base}.qcow2`)

it('a client of an export talks to a process that can open the files of its chain, and nothing else', async () => {
  const first = await ensureExportUsers()
  const [uid, gid] = [first.uid + real.firstPort + 1, first.gid + real.firstPort + 1]
  await write('first', [], 0)
  copyInto(image, real.firstPort, 'first')
  await real.agent.sealExport('first', sealRequest('first'))

  const pid = await write('second', ['first'], 1)
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  for (const line of [
    `Uid:\t${uid}\t${uid}\t${uid}\t${uid}`,
    `Gid:\t${gid}\t${gid}\t${gid}\t${gid}`,
    'Groups:\t ',
    'CapPrm:\t0000000000000000',
    'CapEff:\t0000000000000000',
    'NoNewPrivs:\t1',
  ])
    expect(status.split('\n')).toContain(line)
  const opened = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  const files = opened.filter((path) => path.startsWith(real.folder))
  expect(new Set(files)).toEqual(new Set([qcow2('first'), qcow2('second')]))

  // What is being written belongs to it; what is sealed does not, and lies where it can not go.
  expect(statSync(qcow2('second'))).toMatchObject({ uid, gid })
  expect(statSync(qcow2('first'))).toMatchObject({ uid: 0, gid: 0 })
  expect(statSync(folder()).mode & 0o777).toBe(0o700)
  const asIt = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--', '/usr/bin/cat', '--']
  for (const path of [qcow2('first'), qcow2('second'), '/etc/shadow'])
    expect(() => sh('/usr/bin/setpriv', [...asIt, path])).toThrow(/Permission denied/)

  await real.agent.sealExport('second', sealRequest('second'))
  const sealed = statSync(qcow2('second'))
  expect(sealed).toMatchObject({ uid: 0, gid: 0 })
  expect(sealed.mode & 0o777).toBe(0o444)
})
