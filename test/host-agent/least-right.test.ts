/** What the processes that the agent starts may do. */
import { randomUUID } from 'node:crypto'
import { copyFileSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { program } from '../../host-agent/exec.ts'
import { ensureExportUsers } from '../../runtime/host.ts'
import { blankImage, copyInto, filesystemImage, makeFilesystem, sh, withLoop } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk, sealRequest } from '../support/sealed-disk.ts'

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

/** Of a process that is this user and can not become more. */
const expectNoRights = (pid: number, uid: number, gid: number) => {
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
}
/** Files of the agent's folder that a process has open. */
const openedBy = (pid: number, { folder: root }: RealAgent) => {
  const opened = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  return new Set(opened.filter((path) => path.startsWith(root)))
}
/** The users of QEMU that serve no port: those below the privileged ones. */
const expectOneOfItsUsers = async (uid: number) => {
  const first = await ensureExportUsers()
  expect(uid).toBeGreaterThan(first.uid)
  expect(uid).toBeLessThan(first.uid + 1024)
}

it('a client of an export talks to a process that can open the files of its chain, and nothing else', async () => {
  const first = await ensureExportUsers()
  const [uid, gid] = [first.uid + real.firstPort + 1, first.gid + real.firstPort + 1]
  await write('first', [], 0)
  copyInto(image, real.firstPort, 'first')
  await real.agent.sealExport('first', sealRequest('first'))

  const pid = await write('second', ['first'], 1)
  expectNoRights(pid, uid, gid)
  expect(openedBy(pid, real)).toEqual(new Set([qcow2('first'), qcow2('second')]))

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

/** Processes of the agent's that run a program. */
const running = ({ folder: root }: RealAgent, path: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        return readlinkSync(`/proc/${pid}/exe`) === path && environment.includes(`SENDENSE_AGENT=${root}/`)
      } catch {
        return false
      }
    })

it.each([
  ['xfs', 320 << 20],
  ['btrfs', 128 << 20],
] as const)(
  'what shows %s to the kernel of this host sees the files of its chain, and nothing else',
  async (kind, bytes) => {
    const raw = join(real.folder, `${kind}.raw`)
    blankImage(raw, bytes)
    withLoop(raw, (device) => makeFilesystem(kind, device))
    const chain = await sealedDisk(real, raw)
    const { mount_id, partitions } = await real.agent.ensureMount(randomUUID(), mountOf(chain))
    expect(partitions).toMatchObject([{ mounted: true, reader: 'host' }])

    // That of the sandbox which has looked at the disk ends a moment later; the next sandbox, with one of its own, begins half a second later.
    let pids: number[] = []
    const count = () => {
      pids = running(real, program.qemuStorageDaemon)
      return pids.length
    }
    await expect.poll(count, { interval: 5, timeout: 10_000 }).toBe(1)
    const pid = pids[0]!
    const { uid, gid } = statSync(`/proc/${pid}`)
    await expectOneOfItsUsers(uid)
    expectNoRights(pid, uid, gid)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    expect(status).toMatch(/^CapBnd:\t0+$/m)
    expect(status).toMatch(/^Seccomp:\t2$/m)
    const file = join(real.repositoryPath, chain.vm_backup_context_id, 'disk-0', `${chain.bases[0]}.qcow2`)
    expect(openedBy(pid, real)).toEqual(new Set([file]))
    for (const space of ['net', 'mnt', 'pid', 'ipc', 'uts'])
      expect(readlinkSync(`/proc/${pid}/ns/${space}`), space).not.toBe(readlinkSync(`/proc/self/ns/${space}`))
    const seen = readdirSync(`/proc/${pid}/root`)
    expect(
      seen.filter((name) => !['bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'run', 'sbin', 'usr'].includes(name)),
    ).toEqual([])
    await real.agent.removeMount(mount_id, 'user')
    expect(running(real, program.qemuStorageDaemon)).toEqual([])
  },
)

it('qemu-img is never root, whatever it does', async () => {
  // In its place, as this agent alone sees it, stands one that says first who it is.
  const watched = await openRealAgent({
    command: (root) => {
      const [log, copy, script] = ['log', 'qemu-img', 'watched'].map((name) => join(root, name)) as [
        string,
        string,
        string,
      ]
      copyFileSync(program.qemuImg, copy)
      sh('/usr/bin/chmod', ['755', copy, root])
      writeFileSync(log, '')
      sh('/usr/bin/chmod', ['666', log])
      writeFileSync(
        script,
        `#!/bin/sh\nprintf '%s %s\\n' "$(/usr/bin/id -u)" "$1" >> '${log}'\nexec '${copy}' "$@"\n`,
        { mode: 0o755 },
      )
      const swap = `mount --bind '${script}' ${program.qemuImg}; exec "$@"`
      return ['/usr/bin/unshare', '--mount', '--', '/bin/sh', '-ec', swap, 'sh']
    },
  })
  const bases = ['a', 'b', 'c']
  const of = (base: string) => ({ ...disk, vm_backup_context_id: 'ctx-watched', base })
  await watched.agent.ensureRepository('repo', watched.repositoryPath)
  for (const [at, base] of bases.entries()) {
    await watched.agent.ensureExport(base, {
      kind: 'new',
      job_id: base,
      port: watched.firstPort,
      file: of(base),
      virtual_size_bytes: 64 << 20,
      parent_bases: bases.slice(0, at).toReversed(),
      shared_connections: 10,
    })
    copyInto(image, watched.firstPort, base)
    expect((await watched.agent.sealExport(base, sealRequest(base))).error_message).toBeNull()
    await watched.agent.dropExport(base, false)
  }
  const merge = {
    disk: { ...disk, vm_backup_context_id: 'ctx-watched' },
    base: 'b',
    into_base: 'c',
    below_bases: ['a'],
  }
  for (const step of ['prepare', 'finish'] as const)
    expect(await watched.agent.mergeFile({ ...merge, step, stored_bytes: 0, wait_seconds: 60 })).toMatchObject({
      status: 'done',
    })
  const path = join(watched.repositoryPath, 'ctx-watched', 'disk-0', 'c.qcow2')
  expect(statSync(path)).toMatchObject({ uid: 0, gid: 0 })
  expect(statSync(path).mode & 0o777).toBe(0o444)

  const said = readFileSync(join(watched.folder, 'log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  for (const [uid] of said) await expectOneOfItsUsers(Number(uid))
  const did = said.map(([, what]) => what)
  expect(did).toEqual(['--version', ...bases.flatMap(() => ['create', 'check']), 'commit', 'check'])
  expect(new Set(said.map(([uid]) => uid)).size).toBe(said.length)
  await watched.close()
})
