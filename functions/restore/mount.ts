/** POST /restore/mount: mounts one disk of a backup, or all of them together, and waits until they can be browsed. */
import { mount, mountBody } from '../../contract/api/restore.ts'
import { toMount } from '../../db/queries/mounts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { mountDisks } from '../../workflows/mount-disks.ts'

export default defineFunction(
  {
    summary: 'Mount a disk of a backup',
    needs: ['DB', 'AGENT', 'CLOCK', 'SETTINGS'],
    body: mountBody,
    responses: { 200: mount },
    errors: [
      'BACKUP_NOT_FOUND',
      'DISK_NOT_FOUND',
      'DISK_ALREADY_MOUNTED',
      'BACKUP_NOT_COMPLETED',
      'CHAIN_BROKEN',
      'COPY_NOT_FOUND',
      'NO_MOUNTABLE_FILESYSTEM',
      'RESTORE_SLOTS_EXHAUSTED',
    ],
  },
  async ({ body, env }) => {
    const { row, state } = await mountDisks(env, {
      backupId: body.backup_id,
      diskIndex: body.all_disks ? undefined : body.disk_index,
      repositoryId: body.repository_id,
      secrets: body.secrets,
    })
    return toMount(row, state)
  },
)
