/** The host-agent's parts, opened in the order in which they need one another and closed in reverse. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentHealth } from '../contract/agent.ts'
import { type AgentSettings, type HostFilesystem, hostFilesystems } from '../contract/settings.ts'
import { chooseBackend } from './attach/choose.ts'
import { Copies } from './copies/copies.ts'
import { Examinations } from './examinations.ts'
import { endOrphans, markChildren, program, run } from './exec.ts'
import { Exports } from './exports/exports.ts'
import { warmUpFolderThreads } from './files/folder-threads.ts'
import { log } from './log.ts'
import { Machines } from './machine/machines.ts'
import { Merges } from './merges/merges.ts'
import { KeptWalks } from './mounts/kept-walks.ts'
import { MountFiles } from './mounts/mount-files.ts'
import type { Openers } from './mounts/mounted-disks.ts'
import { Mounts } from './mounts/mounts.ts'
import { nextUser, setQemuUsers } from './qemu-users.ts'
import { Repositories } from './repositories.ts'
import { Sandboxes } from './sandbox/sandboxes.ts'
import { Sweep } from './sweep.ts'
import { Verifications } from './verify/verifications.ts'
import { chooseReaders } from './volumes/choose-reader.ts'
import { kernelCanMount } from './volumes/kernel-mounts.ts'

export type Agent = {
  health: () => Promise<AgentHealth>
  repositories: Repositories
  exports: Exports
  mounts: Mounts
  files: MountFiles
  verifications: Verifications
  copies: Copies
  merges: Merges
  examinations: Examinations
  sweep: Sweep
  close: () => Promise<void>
}

/** Or why there are none. */
const openMachines = async (
  { stateDir, readerSeconds, machineMounts, machineImage }: AgentSettings,
  sandboxes: Sandboxes | string,
): Promise<Machines | string> => {
  if (typeof sandboxes === 'string') return sandboxes
  if (machineMounts !== 'auto' && machineMounts.length === 0) return 'SENDENSE_MACHINE_MOUNTS lets none be started'
  const options = { stateDir, image: machineImage, readerSeconds, groups: sandboxes.groups }
  return Machines.open(options).catch((error: Error) => error.message)
}

/** Who may open what. */
const decideOpeners = async (settings: AgentSettings): Promise<Openers> => {
  const { stateDir, readerUsers, readerSeconds, hostMounts, machineMounts } = settings
  const sandboxes = await Sandboxes.open({ stateDir, users: readerUsers, readerSeconds }).catch(
    (error: Error) => error.message,
  )
  if (typeof sandboxes === 'string')
    log.warn(
      { why: sandboxes },
      "this host can make no sandbox; it mounts guests' filesystems itself, as far as it may",
    )
  const machines = await openMachines(settings, sandboxes)
  const decide = async () => {
    const ladder = {
      hostMounts,
      machineMounts,
      noSandbox: typeof sandboxes === 'string' ? sandboxes : undefined,
      noMachine: typeof machines === 'string' ? machines : await machines.missing,
    }
    // No module of this host is loaded for what others read.
    const kernelHas: HostFilesystem[] = []
    for (const [filesystem, choice] of chooseReaders({ ...ladder, kernelHas: hostFilesystems }))
      if ('reader' in choice && choice.reader === 'host' && (await kernelCanMount(run, filesystem)))
        kernelHas.push(filesystem)
    return chooseReaders({ ...ladder, kernelHas })
  }
  return { sandboxes, machines, readers: decide() }
}

/** Opens the ledger, frees what an earlier agent left, and is ready to serve. */
export const openAgent = async (settings: AgentSettings): Promise<Agent> => {
  await mkdir(settings.stateDir, { recursive: true, mode: 0o700 })
  markChildren(settings.stateDir)
  const orphans = await endOrphans(settings.stateDir)
  if (orphans > 0) log.warn({ orphans }, 'processes of an earlier agent were still running')
  setQemuUsers(settings.exportUsers)
  const openers = await decideOpeners(settings)
  const backend = await chooseBackend(settings, typeof openers.sandboxes !== 'string')
  const qemuVersion = (await run(program.qemuImg, ['--version'], { user: nextUser() })).stdout.split('\n')[0] ?? ''
  const repositories = new Repositories(settings.stateDir)
  await repositories.open()
  const exports = new Exports(settings, repositories)
  await exports.open()
  const mounts = new Mounts({
    stateDir: settings.stateDir,
    restoreRoot: settings.restoreRoot,
    slots: settings.restoreSlots,
    idleSeconds: settings.mountIdleSeconds,
    backend,
    openers,
    repositories,
  })
  await mounts.open()
  warmUpFolderThreads()
  const sweep = new Sweep(mounts, settings.mountIdleSeconds)
  await sweep.run()
  const verifications = new Verifications(repositories)
  const copies = new Copies(settings.stateDir, repositories)
  await copies.open()
  const merges = new Merges(repositories, (disk) => [...exports.usersOf(disk), ...mounts.usersOf(disk)])
  const examinations = new Examinations(settings)
  await examinations.open()

  return {
    repositories,
    exports,
    mounts,
    files: new MountFiles(mounts, new KeptWalks(join(settings.stateDir, 'walks'))),
    verifications,
    copies,
    merges,
    examinations,
    sweep,
    health: async () => ({
      status: 'ok',
      version: settings.version,
      uptime_seconds: Math.floor(process.uptime()),
      attach_backend: backend.name,
      machines: typeof openers.machines === 'string' ? null : openers.machines.ready,
      qemu_version: qemuVersion,
      exports: exports.count,
      mounts: mounts.count,
      max_mounts: settings.restoreSlots,
    }),
    close: async () => {
      sweep.stop()
      await verifications.close()
      await copies.close()
      await merges.close()
      await mounts.close()
      await exports.close()
      await repositories.close()
      if (typeof openers.machines !== 'string') await openers.machines.close()
      if (typeof openers.sandboxes !== 'string') await openers.sandboxes.close()
    },
  }
}
