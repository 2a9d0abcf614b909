/**
 * What all processes of a sandbox together may take of the machine: memory (with the file cache that they fill) and processes. A control group of the kernel
 * counts it, of version 2 (Documentation/admin-guide/cgroup-v2.rst) or 1 (cgroup-v1/memory.rst, pids.rst), below the one that the agent lives in.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** In bytes: the reader's heap and the drivers of a machine with several disks; never more than half of what the machine has. */
const memoryMax = String(Math.min(4 * 1024 ** 3, Math.floor(totalmem() / 2)))
/** Threads count, too: a reader has some 40, QEMU and each driver a few. */
const tasksMax = '1024'
/** A group is busy for a moment after its last process has gone. */
const removeMs = 2_000

/** Of a hierarchy of groups: where ours are made, and what is written to each. */
type Hierarchy = { parent: string; limits: Record<string, string>; version: 1 | 2 }

const lines = async (file: string) => (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

/** @param controller of version 1, or undefined for version 2 @returns the agent's own group, as a folder */
const ownGroup = async (controller?: string): Promise<string | undefined> => {
  const kind = controller === undefined ? 'cgroup2' : 'cgroup'
  for (const line of await lines('/proc/self/mountinfo')) {
    const [mount, filesystem] = line.split(' - ')
    const [type, , options] = filesystem!.split(' ')
    if (type !== kind || (controller !== undefined && !options!.split(',').includes(controller))) continue
    const [root, mountPoint] = mount!.split(' ').slice(3, 5)
    for (const group of await lines('/proc/self/cgroup')) {
      const [, controllers, ...path] = group.split(':')
      if (controller === undefined ? controllers !== '' : !controllers!.split(',').includes(controller)) continue
      const own = join(mountPoint!, path.join(':').slice(root === '/' ? 0 : root!.length))
      // A container may see only its own part, which is not called there what it is called here.
      return (await isFolder(own)) ? own : mountPoint!
    }
  }
  return undefined
}

const parentOf = async (pid: string): Promise<number> => {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
}

/** Groups of version 2 have either processes or groups in them: the agent moves to one of its own. @throws Error where that is not the agent's to do */
const makeRoom = async (own: string) => {
  const isWholeMachine = !(await readdir(own)).includes('cgroup.events')
  if (isWholeMachine) return
  const inside = await lines(join(own, 'cgroup.procs'))
  for (const pid of inside)
    if (Number(pid) !== process.pid && (await parentOf(pid)) !== process.pid)
      throw new Error(`the control group ${own} is not the agent's alone`)
  const leaf = join(own, 'agent')
  await mkdir(leaf, { recursive: true })
  for (const pid of inside) await writeFile(join(leaf, 'cgroup.procs'), pid)
}

const giveControllers = (group: string) => writeFile(join(group, 'cgroup.subtree_control'), '+memory +pids')

/** @throws Error that says why there are none */
const hierarchies = async (): Promise<Hierarchy[]> => {
  const own = await ownGroup()
  const given = own === undefined ? [] : (await readFile(join(own, 'cgroup.controllers'), 'utf8')).trim().split(' ')
  if (own !== undefined && given.includes('memory') && given.includes('pids')) {
    await makeRoom(own)
    await giveControllers(own)
    return [{ parent: own, limits: { 'memory.max': memoryMax, 'pids.max': tasksMax }, version: 2 }]
  }
  const [memory, pids] = [await ownGroup('memory'), await ownGroup('pids')]
  if (memory === undefined || pids === undefined)
    throw new Error('there are no control groups for memory and processes')
  return [
    { parent: memory, limits: { 'memory.limit_in_bytes': memoryMax }, version: 1 },
    { parent: pids, limits: { 'pids.max': tasksMax }, version: 1 },
  ]
}

/** Removes a group and those in it, whose processes have ended. */
const remove = async (group: string): Promise<void> => {
  const inside = await readdir(group, { withFileTypes: true }).catch(() => [])
  for (const entry of inside) if (entry.isDirectory()) await remove(join(group, entry.name))
  for (const until = performance.now() + removeMs; ; await sleep(10)) {
    try {
      return await rmdir(group)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || performance.now() > until) return
    }
  }
}

export class ControlGroups {
  readonly #folders: string[]
  readonly #limits: Record<string, string>[]

  /**
   * Removes what an earlier agent of this state folder left, whose processes have ended.
   * @throws Error that says why this machine has none for us
   */
  static async open(stateDir: string): Promise<ControlGroups> {
    const name = `sendense-${createHash('sha256').update(stateDir).digest('hex').slice(0, 12)}`
    const found = await hierarchies()
    const groups = new ControlGroups(
      found.map(({ parent }) => join(parent, name)),
      found.map(({ limits }) => limits),
    )
    await groups.close()
    try {
      for (const { parent, version } of found) {
        await mkdir(join(parent, name))
        if (version === 2) await giveControllers(join(parent, name))
      }
      return groups
    } catch (error) {
      await groups.close()
      throw error
    }
  }

  private constructor(folders: string[], limits: Record<string, string>[]) {
    this.#folders = folders
    this.#limits = limits
  }

  async make(name: string): Promise<ControlGroup> {
    const group = new ControlGroup(this.#folders.map((folder) => join(folder, name)))
    await group.limit(this.#limits)
    return group
  }

  async close(): Promise<void> {
    for (const folder of this.#folders) await remove(folder)
  }
}

export class ControlGroup {
  /** One of each hierarchy. */
  readonly #folders: string[]

  constructor(folders: string[]) {
    this.#folders = folders
  }

  async limit(limits: Record<string, string>[]): Promise<void> {
    for (const [at, folder] of this.#folders.entries()) {
      await mkdir(folder)
      for (const [file, value] of Object.entries(limits[at]!)) await writeFile(join(folder, file), value)
    }
  }

  /** Counts a process and all that it has started here from now on; what those start is counted by itself. */
  async takeIn(pid: number): Promise<void> {
    for (const folder of this.#folders) await writeFile(join(folder, 'cgroup.procs'), String(pid))
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    for (const child of children.split(' ')) if (child !== '') await this.takeIn(Number(child))
  }

  async remove(): Promise<void> {
    for (const folder of this.#folders) await remove(folder)
  }
}
