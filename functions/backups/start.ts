/** POST /backups: starts the backup of all disks of one VM; answers as soon as the node has accepted it. */
import { backupTypes, startAnswer, startBody } from '../../contract/api/backups.ts'
import { HubError } from '../../contract/errors.ts'
import { toBackups } from '../../db/queries/backup-answers.ts'
import { defineFunction } from '../../runtime/function.ts'
import { nbdTarget, startBackup } from '../../workflows/start-backup.ts'

export default defineFunction(
  {
    summary: 'Start a backup',
    needs: ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS'],
    body: startBody,
    responses: { 200: startAnswer },
    errors: [
      'DISK_ID_NOT_ALLOWED',
      'INVALID_BACKUP_TYPE',
      'VM_NOT_FOUND',
      'VM_AMBIGUOUS',
      'VM_HAS_NO_DISKS',
      'UNKNOWN_REPOSITORY',
      'REPOSITORY_DISABLED',
      'UNKNOWN_POLICY',
      'CREDENTIAL_MISSING',
      'FULL_BACKUP_REQUIRED',
      'BACKUP_RUNNING',
      'INSUFFICIENT_STORAGE',
      'NBD_PORTS_EXHAUSTED',
      'NODE_UNREACHABLE',
      'NODE_ERROR',
    ],
  },
  async ({ body, env }) => {
    if ('disk_id' in body)
      throw new HubError('DISK_ID_NOT_ALLOWED', 'Backups are VM-level: all disks are backed up together', {
        details: 'leave disk_id out; choosing disks is for restore only',
        fields: [{ field: 'disk_id', message: 'is not allowed', code: 'FORBIDDEN' }],
      })
    const type = backupTypes.find((known) => known === body.backup_type)
    if (!type)
      throw new HubError('INVALID_BACKUP_TYPE', 'backup_type must be full or incremental', {
        fields: [{ field: 'backup_type', message: 'must be full or incremental', code: 'ENUM' }],
      })
    const { backup, exports } = await startBackup(env, {
      vmName: body.vm_name,
      vmContextId: body.vm_context_id,
      repositoryId: body.repository_id,
      type,
      policyId: body.policy_id ?? null,
      tags: body.tags ?? {},
    })
    const [shown] = await toBackups(env.DB.orm, [backup])
    return {
      ...shown,
      status: 'started',
      disk_results: backup.disks.map((disk, at) => ({
        disk_id: disk.diskIndex,
        disk_index: disk.diskIndex,
        vmware_disk_key: disk.vmwareDiskKey,
        nbd_port: exports[at]!.port,
        nbd_export_name: exports[at]!.export_name,
        qcow2_path: exports[at]!.path,
        qemu_nbd_pid: exports[at]!.pid,
        status: 'qemu_started',
        error_message: null,
      })),
      nbd_targets_string: backup.disks.map((disk, at) => nbdTarget(exports[at]!, disk.vmwareDiskKey)).join(','),
    }
  },
)
