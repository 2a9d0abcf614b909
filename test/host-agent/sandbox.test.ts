/** What reads a guest's disk: what it may do, and what its end costs. */

import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { refusals, systemCallFilter } from '../../host-agent/sandbox/system-calls.ts'
import { ensureReaderUsers } from '../../runtime/host.ts'
import { waitFor } from '../../runtime/service.ts'
import { projectRoot } from '../../runtime/version.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { blankImage, filesystemImage, makeFilesystem, sh, withLoop } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { controlGroupsOf, processesOf, readerOfMount, readerProgram } from '../support/sandbox.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'

/** include/linux/socket.h */
const families = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17, AF_ALG: 38 } as const
const readerSeconds = 2
const bytes = 3_000_000
let real: RealAgent
let disk: Awaited<ReturnType<typeof sealedDisk>>
let before: Census
beforeAll(async () => {
  real = await openRealAgent({ readerSeconds })
  const image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, (folder) => writeFileSync(join(folder, 'file'), Buffer.alloc(bytes, 'x')))
  disk = await sealedDisk(real, image)
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  expect(await leftBehind(before)).toEqual([])
})
afterAll(() => real.close())

const encode = (path: string) => Buffer.from(path).toString('base64')
const mount = async () => (await real.agent.ensureMount(randomUUID(), mountOf(disk))).mount_id
const list = (id: string) =>
  real.agent.listFiles(id, { path_b64: encode('/'), recursive: false, limit: 100, offset: 0 })
const read = async (id: string) =>
  buffer(await real.agent.readFile(id, { path_b64: encode('/file'), start: 0, length: bytes, etag: '' }))

const textOf = (path: string) => readFileSync(path, 'utf8')
const processes = (program: string) => processesOf(real.pid(), program)
const driver = '/usr/bin/fuse2fs'
/** The agent keeps one outside, too, for what the host mounts. */
const qemus = () =>
  processes('/usr/bin/qemu-storage-daemon').filter(
    (pid) => readlinkSync(`/proc/${pid}/ns/user`) !== readlinkSync('/proc/self/ns/user'),
  )

it('is many processes that have no right on the host, no network, and see nothing of it but programs', async () => {
  await mount()
  const first = await ensureReaderUsers()
  const all = [...processes(driver), ...qemus(), ...processes(readerProgram)]
  expect(all.length).toBeGreaterThanOrEqual(3)
  for (const pid of all) {
    const status = textOf(`/proc/${pid}/status`).split('\n')
    const { uid, gid } = first
    expect(status).toContain(`Uid:\t${uid}\t${uid}\t${uid}\t${uid}`)
    expect(status).toContain(`Gid:\t${gid}\t${gid}\t${gid}\t${gid}`)
    // What they may do, they may in namespaces of their own.
    for (const kind of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts'])
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`)).not.toBe(readlinkSync(`/proc/self/ns/${kind}`))
    expect(readdirSync(`/proc/${pid}/root/`).sort()).toEqual(
      ['app', 'bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'run', 'sbin', 'usr', 'guest'].sort(),
    )
    expect(
      textOf(`/proc/${pid}/net/dev`)
        .split('\n')
        .slice(2)
        .filter((line) => line !== ''),
    ).toHaveLength(1)
  }
  for (const pid of [...processes(driver), ...processes(readerProgram)]) {
    // By a filter (proc(5)).
    expect(textOf(`/proc/${pid}/status`).split('\n')).toContain('Seccomp:\t2')
    // When there is no memory left, these go first.
    expect(Number(textOf(`/proc/${pid}/oom_score_adj`))).toBeGreaterThan(500)
  }
  const [inside] = processes(readerProgram)
  const asIt = [
    '--target',
    String(inside),
    '--user',
    '--mount',
    '--pid',
    '--net',
    '--setuid',
    '0',
    '--setgid',
    '0',
    '--',
  ]
  const tryThere =
    (...command: string[]) =>
    () =>
      sh('/usr/bin/nsenter', [...asIt, ...command])
  expect(tryThere('/usr/bin/touch', '/usr/bin/mine')).toThrow(/Read-only/)
  expect(tryThere('/usr/bin/cat', real.folder)).toThrow(/No such file/)
  expect(tryThere('/usr/bin/kill', '-0', String(real.pid()))).toThrow(/No such process/)
})

/** What the kernel answers to system calls with arguments that no call takes, made below the filter: errors by the number of the call. */
const answersBelowFilter = (calls: [number: number, ...args: number[]][]): Map<number, number> => {
  const file = join(real.folder, 'system-calls')
  writeFileSync(file, systemCallFilter())
  const filter = openSync(file, 'r')
  try {
    const script =
      'for (@ARGV) { my @c = split /,/; $! = 0; syscall($c[0]+0, map { $_+0 } @c[1..6]); printf "%d %d\n", $c[0], $! }'
    const asked = calls.map(([number, ...args]) => [number, ...args, ...Array(6 - args.length).fill(-1)].join(','))
    const bubble = ['--seccomp', '3', '--unshare-pid', '--dev-bind', '/', '/', '--']
    const said = execFileSync('/usr/bin/bwrap', [...bubble, '/usr/bin/perl', '-e', script, '--', ...asked], {
      stdio: ['ignore', 'pipe', 'pipe', filter],
      encoding: 'utf8',
    })
    return new Map(
      said
        .trim()
        .split('\n')
        .map((line) => line.split(' ').map(Number) as [number, number]),
    )
  } finally {
    closeSync(filter)
  }
}

it('the system calls that a reader of disks has no use for are refused there', () => {
  const calls = refusals(process.arch as 'x64' | 'arm64')
  const answers = answersBelowFilter(calls.map(({ number }) => [number]))
  expect(calls.map(({ name, number }) => [name, answers.get(number)])).toEqual(
    calls.map(({ name, errno }) => [name, errno]),
  )
  // Later than all that were known.
  const { ENOSYS, EAFNOSUPPORT } = constants.errno
  expect(answersBelowFilter([[451], [0x4000_0000 + 39]])).toEqual(
    new Map([
      [451, ENOSYS],
      [0x4000_0000 + 39, ENOSYS],
    ]),
  )
  const socket = process.arch === 'x64' ? 41 : 198
  const stream = 1
  for (const [family, errno] of [
    ['AF_UNIX', 0],
    ['AF_INET', EAFNOSUPPORT],
    ['AF_INET6', EAFNOSUPPORT],
    ['AF_NETLINK', EAFNOSUPPORT],
    ['AF_PACKET', EAFNOSUPPORT],
    ['AF_ALG', EAFNOSUPPORT],
  ] as const)
    expect([family, answersBelowFilter([[socket, families[family], stream, 0]]).get(socket)]).toEqual([family, errno])
})

it('all processes of one together have a limit of memory and of processes', async () => {
  const id = await mount()
  const reader = readerOfMount(real.pid())
  const groups = controlGroupsOf(reader)
  const limits = groups.flatMap((folder) =>
    ['memory.max', 'memory.limit_in_bytes', 'pids.max']
      .filter((file) => existsSync(join(folder, file)))
      .map((file) => [file.split('.')[0], Number(textOf(join(folder, file)))] as const),
  )
  expect(limits.map(([what]) => what).sort()).toEqual(['memory', 'pids'])
  for (const [, limit] of limits) expect(limit).toBeLessThan(2 ** 33)
  const memory = groups.find((folder) => existsSync(join(folder, 'memory.stat')))!
  const inside = () => textOf(join(memory, 'cgroup.procs')).split('\n').map(Number)
  const qemu = qemus().filter((pid) => readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync(`/proc/${reader}/ns/pid`))
  // One for the disks, one for volumes that the reader puts together.
  expect(qemu.length).toBe(2)
  await waitFor('QEMU in the group', async () => qemu.every((pid) => inside().includes(pid)), 5_000)
  expect(inside()).toContain(reader)
  expect(inside().some((pid) => processes(driver).includes(pid))).toBe(true)
  // One that takes more than the rest of what is allowed, which is made less, is ended: the kernel chooses who has most.
  const hog = spawn('/usr/bin/perl', ['-e', '<STDIN>; my $taken = "x" x (1024 * 1024 * 1024); sleep 60'])
  const ended = once(hog, 'exit')
  writeFileSync(`/proc/${hog.pid}/oom_score_adj`, '1000')
  writeFileSync(join(memory, 'cgroup.procs'), String(hog.pid))
  const [limit, usage] = existsSync(join(memory, 'memory.max'))
    ? ['memory.max', 'memory.current']
    : ['memory.limit_in_bytes', 'memory.usage_in_bytes']
  const allowed = textOf(join(memory, limit))
  writeFileSync(join(memory, limit), String(Number(textOf(join(memory, usage))) + (384 << 20)))
  hog.stdin.end('now\n')
  expect(await ended).toEqual([null, 'SIGKILL'])
  writeFileSync(join(memory, limit), allowed)
  expect((await read(id)).length).toBe(bytes)
})

it('a driver that crashes costs its volume, and the answer says what happened', async () => {
  const [id, other] = [await mount(), await mount()]
  process.kill(processes(driver)[0]!, 'SIGSEGV')
  await expect(list(id)).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    details: 'the ext4 driver was ended by SIGSEGV',
  })
  expect((await read(other)).length).toBe(bytes)
})

it.each([
  ['a driver that loops', driver, 'SIGSTOP'],
  ['a reader that loops', readerProgram, 'SIGSTOP'],
  ['a reader that crashes', readerProgram, 'SIGKILL'],
] as const)('%s costs its mount, the answer says it, and the others go on', async (_, who, signal) => {
  const [id, other] = [await mount(), await mount()]
  // The oldest of them is the first mount's: spares wait at the end.
  process.kill(processes(who)[0]!, signal)
  await expect(list(id)).rejects.toMatchObject({ code: expect.stringMatching('SERVICE_UNAVAILABLE|MOUNT_NOT_FOUND') })
  await waitFor('the end of the mount', async () => (await real.agent.listMounts()).mounts.length === 1, 10_000)
  expect((await real.agent.listMounts()).ended).toContainEqual(
    expect.objectContaining({ mount_id: id, reason: 'failed' }),
  )
  expect((await read(other)).length).toBe(bytes)
})

it('a QEMU that loops while a driver waits for it costs its mount, the answer says it, and the others go on', async () => {
  const before = qemus()
  const id = await mount()
  const own = qemus().filter((pid) => !before.includes(pid))
  const other = await mount()
  // The reader's call is then in the driver's hands: no signal ends such a call, only the driver's end does.
  for (const pid of own) process.kill(pid, 'SIGSTOP')
  await expect(read(id)).rejects.toThrow()
  await waitFor('the end of the mount', async () => (await real.agent.listMounts()).mounts.length === 1, 10_000)
  expect((await real.agent.listMounts()).ended).toContainEqual(
    expect.objectContaining({ mount_id: id, reason: 'failed' }),
  )
  expect((await read(other)).length).toBe(bytes)
})

it('a driver that gets no more memory costs its volume, and the answer says what happened', async () => {
  const image = join(real.folder, 'many.raw')
  filesystemImage(image, 'ext4', 128 << 20, (folder) => {
    for (let at = 0; at < 3_000; at++) writeFileSync(join(folder, `a file with a rather long name, number ${at}`), 'x')
  })
  const other = await mount()
  const { mount_id: id } = await real.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(real, image)))
  // As if it had taken all that it may have: the next that it asks for is refused.
  const { uid, gid } = await ensureReaderUsers()
  const itself = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
  const limits = ['/usr/bin/prlimit', '--pid', String(processes(driver).at(-1)), '--data=1:1', '--as=1:1']
  sh('/usr/bin/setpriv', [...itself, ...limits])
  const all = real.agent.listFiles(id, { path_b64: encode('/'), recursive: true, limit: 5_000, offset: 0 })
  await expect(all).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    details: expect.stringMatching(/driver|ENOMEM/),
  })
  expect((await read(other)).length).toBe(bytes)
})

it('a QEMU that dies under it gives errors, never wrong bytes', async () => {
  const id = await mount()
  for (const pid of qemus()) process.kill(pid, 'SIGKILL')
  await expect(read(id)).rejects.toThrow()
})

it('files keep the owners that a guest gave them', async () => {
  const image = join(real.folder, 'owners.raw')
  filesystemImage(image, 'ext4', 64 << 20, (folder) => {
    for (const owner of [0, 1000, 65_533]) {
      writeFileSync(join(folder, String(owner)), 'x', { mode: 0o600 })
      execFileSync('/usr/bin/chown', [`${owner}:${owner}`, join(folder, String(owner))])
    }
  })
  const { mount_id: id } = await real.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(real, image)))
  for (const owner of [0, 1000, 65_533])
    expect(await real.agent.fileInfo(id, { path_b64: encode(`/${owner}`) })).toMatchObject({ uid: owner, gid: owner })
})

it('an agent makes them with no more rights than its systemd unit gives it', async () => {
  const unit = readFileSync(new URL('deploy/systemd/sendense-agent.service', projectRoot), 'utf8')
  const capabilities = /^CapabilityBoundingSet=(.*)$/m.exec(unit)![1]!.split(' ')
  // Where udev does not open it to all, as on a machine without udev, the agent must make a device of its own.
  if ((statSync('/dev/fuse').mode & 0o002) === 0) capabilities.push('CAP_MKNOD')
  const bounding = ['-all', ...capabilities.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)].join(',')
  const limited = await openRealAgent({
    command: () => ['/usr/bin/setpriv', `--bounding-set=${bounding}`, '--inh-caps=-all', '--no-new-privs', '--'],
  })
  for (const kind of ['ext4', 'ntfs', 'btrfs'] as const) {
    const image = join(limited.folder, 'image.raw')
    filesystemImage(image, kind, 64 << 20, (folder) => writeFileSync(join(folder, 'file'), 'x'))
    const { mount_id } = await limited.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(limited, image)))
    expect((await limited.agent.listMounts()).mounts.map((one) => one.mount_id)).toContain(mount_id)
    await limited.agent.removeMount(mount_id, 'user')
  }
  await limited.close()
})

it('what the admin keeps from the host stays closed, and the answer says why', async () => {
  const strict = await openRealAgent({ hostMounts: [] })
  const image = join(strict.folder, 'image.raw')
  blankImage(image, 320 << 20)
  withLoop(image, (device) => makeFilesystem('xfs', device))
  await expect(strict.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(strict, image)))).rejects.toMatchObject({
    code: 'NO_MOUNTABLE_FILESYSTEM',
    details:
      "disk: only a kernel can read xfs: SENDENSE_HOST_MOUNTS does not let the host's, and SENDENSE_MACHINE_MOUNTS lets none be started",
  })
  await strict.close()
})

it('what the admin lets the host mount is mounted there', async () => {
  const lax = await openRealAgent({ hostMounts: ['ext4'] })
  const image = join(lax.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, (folder) => writeFileSync(join(folder, 'file'), 'x'))
  const state = await lax.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(lax, image)))
  expect(state).toMatchObject({
    device: expect.stringMatching('^/dev/'),
    partitions: [{ reader: 'host', mounted: true }],
  })
  await lax.close()
})

/** A host on which bubblewrap can do nothing, in a view of the files that only the agent and its children have. */
const withoutSandboxes = () => [
  ...['/usr/bin/unshare', '--mount', '--', '/bin/sh', '-ec'],
  ...['mount --bind /usr/bin/false /usr/bin/bwrap; exec "$@"', 'sh'],
]
it('a host that can make none mounts by itself, and says so; but not what the admin keeps from it', async () => {
  const poor = await openRealAgent({ command: withoutSandboxes })
  const image = join(poor.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, (folder) => writeFileSync(join(folder, 'file'), 'x'))
  const state = await poor.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(poor, image)))
  expect(state.partitions).toMatchObject([{ reader: 'host', mounted: true }])
  await poor.close()
  const strict = await openRealAgent({ command: withoutSandboxes, hostMounts: ['xfs'] })
  filesystemImage(join(strict.folder, 'image.raw'), 'ext4', 64 << 20, () => undefined)
  const disk = await sealedDisk(strict, join(strict.folder, 'image.raw'))
  await expect(strict.agent.ensureMount(randomUUID(), mountOf(disk))).rejects.toMatchObject({
    code: 'NO_MOUNTABLE_FILESYSTEM',
    details: expect.stringMatching('this host can not make one'),
  })
  await strict.close()
})
