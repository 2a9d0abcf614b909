/**
 * Starts a backup: checks, rows, files and exports, the node. Any failure undoes everything, newest first. The job's lock is held
 * from its row on, so that whoever reconciles can tell a start that is under way from one whose hub died.
 */
import type { ExportState } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { backupContextId, backupId, diskFileBase, diskFolder, diskKey, exportName, toGb } from '../contract/names.ts'
import { databaseErrorCode, isDuplicate } from '../db/database.ts'
import {
  backupContextIdTaken,
  deleteUnusedContext,
  findBackupContext,
  insertBackupContext,
} from '../db/queries/backup-contexts.ts'
import {
  activeBackupIn,
  backupIdTaken,
  deleteBackupRow,
  findBackup,
  insertBackup,
  type JobWithDisks,
  setStartedAt,
  updateBackup,
  updateBackupDisk,
} from '../db/queries/backups.ts'
import { noteCredentialUse } from '../db/queries/credentials.ts'
import { deletePorts, deletePortsOfJob, deleteProcess, insertProcess, type PortRow } from '../db/queries/ports.ts'
import { repositoryPath } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { diskFileOf } from './chain-files.ts'
import { withChainLock, withJobLock } from './locks.ts'
import { allocatePorts } from './nbd-ports.ts'
import { checkRoom, type Plan, planBackup, type StartRequest } from './plan-backup.ts'
import { openSecret } from './secrets.ts'
import { type UsableParent, usableParent } from './usable-parent.ts'

type StartEnv = Env<'DB' | 'AGENT' | 'NODE' | 'KEYS' | 'CLOCK' | 'SETTINGS'>

export type Started = { backup: JobWithDisks; exports: ExportState[] }

/** Readers and writers of one export at the same time (contract section 8.1). */
const sharedConnections = 10

const running = (id: string) =>
  new HubError('BACKUP_RUNNING', 'A backup of this VM into this repository is running', { extra: { backup_id: id } })

/** Finds or makes the context: the VM's folder in the repository. */
const ensureContext = async ({ DB, CLOCK }: StartEnv, { vm, repository }: Plan) => {
  const known = await findBackupContext(DB.orm, vm.vmName, vm.vcenterHost, repository.id)
  if (known) return known
  let at = CLOCK.now()
  while (await backupContextIdTaken(DB.orm, backupContextId(vm.vmName, at))) at = new Date(at.getTime() + 1000)
  await insertBackupContext(DB.orm, {
    contextId: backupContextId(vm.vmName, at),
    repositoryId: repository.id,
    vmName: vm.vmName,
    vmwareVmId: vm.vmwareVmId,
    vmPath: vm.vmPath,
    vcenterHost: vm.vcenterHost,
    datacenter: vm.datacenter,
  }).catch((error: unknown) => {
    if (!isDuplicate(error)) throw error
  })
  return (await findBackupContext(DB.orm, vm.vmName, vm.vcenterHost, repository.id))!
}

/** Writes the rows. The unique slot makes one of two equal starts the winner. */
const insertRows = async (
  { DB, CLOCK }: StartEnv,
  { vm, disks, repository, request }: Plan,
  contextId: string,
  parent: UsableParent | undefined,
) => {
  for (let at = CLOCK.now(); ; at = new Date(at.getTime() + 1000)) {
    const id = backupId(vm.vmName, at)
    if (await backupIdTaken(DB.orm, id)) continue
    const root = repositoryPath(repository)
    const totalBytes = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)
    try {
      await DB.transaction((tx) =>
        insertBackup(
          tx,
          {
            id,
            vmBackupContextId: contextId,
            vmContextId: vm.contextId,
            repositoryId: repository.id,
            policyId: request.policyId,
            flowJobId: request.flowJobId ?? null,
            parentBackupId: parent?.parent.job.id ?? null,
            vmName: vm.vmName,
            backupType: request.type,
            activeSlot: contextId,
            repositoryPath: root,
            totalBytes: request.type === 'full' ? totalBytes : 0,
            tags: request.tags,
            createdAt: CLOCK.now(),
          },
          disks.map((disk) => {
            const fileBase = diskFileBase(vm.vmName, disk.diskIndex, at)
            return {
              backupJobId: id,
              vmBackupContextId: contextId,
              diskIndex: disk.diskIndex,
              vmwareDiskKey: diskKey(disk.diskIndex),
              sizeGb: toGb(disk.capacityBytes),
              capacityBytes: disk.capacityBytes,
              label: disk.label,
              originalPath: disk.vmdkPath,
              unitNumber: disk.unitNumber,
              qcow2Path: `${root}/${diskFolder(contextId, disk.diskIndex)}/${fileBase}.qcow2`,
              fileBase,
            }
          }),
        ),
      )
    } catch (error) {
      if (!isDuplicate(error)) throw error
      const winner = await activeBackupIn(DB.orm, contextId)
      if (winner) throw running(winner.id)
      continue
    }
    return id
  }
}

const insertInContext = async (env: StartEnv, planned: Plan, parent: UsableParent | undefined): Promise<string> => {
  for (let attempt = 1; ; attempt++) {
    const context = await ensureContext(env, planned)
    try {
      return await insertRows(env, planned, context.contextId, parent)
    } catch (error) {
      // A start that was undone beside us took the context, which was empty, away.
      if (databaseErrorCode(error) !== 'ER_NO_REFERENCED_ROW_2' || attempt === 5) throw error
    }
  }
}

/** Ports for all disks, under names that no other job uses. */
const allocate = async ({ DB, CLOCK, SETTINGS }: StartEnv, { job, disks }: JobWithDisks): Promise<PortRow[]> => {
  for (let attempt = 1; ; attempt++) {
    const exportNames = disks.map((disk) => exportName(job.vmName, disk.diskIndex, attempt))
    try {
      return await allocatePorts(DB, {
        jobId: job.id,
        vmName: job.vmName,
        exportNames,
        range: SETTINGS.nbdPorts,
        now: CLOCK.now(),
      })
    } catch (error) {
      if (error instanceof HubError && error.code === 'EXPORT_IN_USE' && attempt < 100) continue
      throw error
    }
  }
}

/** Makes and exports one disk's file; moves to another port when somebody outside sits on the one we have. */
const exportDisk = async (
  env: StartEnv,
  { job }: JobWithDisks,
  disk: JobWithDisks['disks'][number],
  port: PortRow,
  parentBases: string[],
): Promise<ExportState> => {
  const { DB, AGENT, CLOCK, SETTINGS } = env
  const avoid = new Set<number>()
  for (let current = port; ; ) {
    try {
      const state = await AGENT.ensureExport(current.exportName, {
        kind: 'new',
        job_id: job.id,
        port: current.port,
        file: diskFileOf(job, disk),
        virtual_size_bytes: disk.capacityBytes,
        parent_bases: parentBases,
        shared_connections: sharedConnections,
      })
      await insertProcess(DB.orm, state, job.id, disk.diskIndex, CLOCK.now())
      await updateBackupDisk(DB.orm, disk.id, { exportName: current.exportName, qcow2Path: state.path })
      return state
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'PORT_IN_USE') throw error
      avoid.add(current.port)
      await deletePorts(DB.orm, [current.port])
      const [next] = await allocatePorts(DB, {
        jobId: job.id,
        vmName: job.vmName,
        exportNames: [current.exportName],
        range: SETTINGS.nbdPorts,
        avoid,
        now: CLOCK.now(),
      })
      current = next!
    }
  }
}

export const nbdTarget = (state: ExportState, key: number) =>
  `${key}:nbd://127.0.0.1:${state.port}/${state.export_name}`

const tellNode = async (
  { NODE, KEYS, CLOCK, SETTINGS }: StartEnv,
  { vm, credential, request }: Plan,
  { job, disks }: JobWithDisks,
  exports: ExportState[],
  parent: UsableParent | undefined,
) => {
  const changeIdOf = (diskIndex: number) =>
    parent?.parent.disks.find((disk) => disk.diskIndex === diskIndex)?.diskChangeId ?? null
  await NODE.startBackup({
    job_id: job.id,
    vm_name: vm.vmName,
    vm_path: vm.vmPath,
    vcenter_host: credential.vcenterHost,
    vcenter_user: credential.username,
    vcenter_password: openSecret(KEYS, 'credential password', credential.passwordEncrypted),
    nbd_host: '127.0.0.1',
    nbd_targets: exports.map((state, at) => nbdTarget(state, disks[at]!.vmwareDiskKey)).join(','),
    backup_type: request.type,
    previous_change_id: parent ? changeIdOf(disks[0]!.diskIndex) : null,
    hub_url: SETTINGS.hubUrl,
    callback_token: await KEYS.jobToken({ jobType: 'backup', jobId: job.id, vmName: vm.vmName }, CLOCK.now()),
    disks: disks.map((disk, at) => ({
      disk_index: disk.diskIndex,
      vmware_disk_key: disk.vmwareDiskKey,
      nbd_port: exports[at]!.port,
      nbd_export_name: exports[at]!.export_name,
      size_bytes: disk.capacityBytes,
      previous_change_id: changeIdOf(disk.diskIndex),
    })),
  })
}

/** Exports with the files that were made for them, ports, rows, in this order. What can't be undone now is left to reconcile, as a failed job. */
const undo = async (
  { DB, AGENT, NODE }: StartEnv,
  { job, disks }: JobWithDisks,
  ports: PortRow[],
  told: boolean,
  why: unknown,
) => {
  if (told) await NODE.stopBackup(job.id, 'the start was undone').catch(() => undefined)
  try {
    const names = new Set([
      ...ports.map(({ exportName }) => exportName),
      ...disks.flatMap(({ exportName }) => exportName ?? []),
    ])
    for (const name of names) {
      await AGENT.dropExport(name, true)
      await deleteProcess(DB.orm, name)
    }
    await deletePortsOfJob(DB.orm, job.id)
    await DB.transaction(async (tx) => {
      await deleteBackupRow(tx, job.id)
      await deleteUnusedContext(tx, job.vmBackupContextId)
    })
  } catch {
    const message = `the start failed and could not be undone yet: ${why instanceof Error ? why.message : String(why)}`
    await updateBackup(DB.orm, job.id, {
      status: 'failed',
      activeSlot: null,
      currentPhase: 'failed',
      errorMessage: message,
      cleanupPending: true,
    })
  }
}

/** @throws every code of contract section 8.1; after an error nothing is left */
export const startBackup = async (env: StartEnv, request: StartRequest): Promise<Started> => {
  const { DB, CLOCK } = env
  const planned = await planBackup(env, request)
  const known = await findBackupContext(DB.orm, planned.vm.vmName, planned.vm.vcenterHost, planned.repository.id)
  // Without a context there is nothing to lock against but another first start, which the unique keys sort out.
  const lockId = known?.contextId ?? `${planned.vm.contextId} ${planned.repository.id}`
  const begun = await withChainLock(DB, lockId, async () => {
    let parent: UsableParent | undefined
    if (request.type === 'incremental') {
      const found = await usableParent(env, known?.contextId, planned.disks)
      if ('reason' in found)
        throw new HubError('FULL_BACKUP_REQUIRED', 'full backup required', { details: found.reason })
      parent = found
    }
    const active = known && (await activeBackupIn(DB.orm, known.contextId))
    if (active) throw running(active.id)
    await checkRoom(env, planned)
    return { id: await insertInContext(env, planned, parent), parent }
  })

  return withJobLock(DB, begun.id, async () => {
    const backup = (await findBackup(DB.orm, begun.id))!
    let ports: PortRow[] = []
    let told = false
    try {
      ports = await allocate(env, backup)
      const results = await Promise.allSettled(
        backup.disks.map((disk) => {
          const port = ports.find((row) => row.exportName.endsWith(`-disk-${disk.vmwareDiskKey}`))!
          const parentBases =
            begun.parent?.chain.flatMap((link) =>
              link.disks.filter(({ diskIndex }) => diskIndex === disk.diskIndex).map(({ fileBase }) => fileBase),
            ) ?? []
          return exportDisk(env, backup, disk, port, parentBases)
        }),
      )
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
      const exports = results.map((result) => (result as PromiseFulfilledResult<ExportState>).value)
      told = true
      await tellNode(env, planned, backup, exports, begun.parent)
      await setStartedAt(DB.orm, begun.id, CLOCK.now())
      await noteCredentialUse(DB.orm, planned.credential.id, CLOCK.now())
      return { backup: (await findBackup(DB.orm, begun.id))!, exports }
    } catch (error) {
      await undo(env, backup, ports, told, error)
      throw error
    }
  })
}
