/** POST /restore/mount: mounts one disk of a backup and waits until it can be browsed. */
import { mount, mountBody } from '../../contract/api/restore.ts'
import { toMount } from '../../db/queries/mounts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { mountDisk } from '../../workflows/mount-disk.ts'

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
    const { row, state } = await mountDisk(env, body.backup_id, body.disk_index, body.repository_id)
    return toMount(row, state)
  },
)
