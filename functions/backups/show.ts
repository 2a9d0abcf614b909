/** GET /backups/{backup_id}: one backup with its disks. */
import { z } from 'zod'
import { detailAnswer } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { HubError } from '../../contract/errors.ts'
import { toBackupDisk, toBackups } from '../../db/queries/backup-answers.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { ancestry, dependentsOf } from '../../db/queries/chains.ts'
import { copiesOf, findHeal, toHeal } from '../../db/queries/copies.ts'
import { findIndex, toFileIndex } from '../../db/queries/file-index.ts'
import { damagesOf, findVerification, toVerification } from '../../db/queries/verifications.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'One backup',
    needs: ['DB'],
    params: z.object({ backup_id: id }),
    responses: { 200: detailAnswer },
    errors: ['BACKUP_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    // Before the backup: a check that is seen as ended has its result in what is read after.
    const verification = toVerification(await findVerification(DB.orm, params.backup_id))
    const backup = await findBackup(DB.orm, params.backup_id)
    if (!backup)
      throw new HubError('BACKUP_NOT_FOUND', 'Backup not found', { details: `no backup ${params.backup_id}` })
    const [[shown], chain, copies, dependents, heal, fileIndex] = await Promise.all([
      toBackups(DB.orm, [backup]),
      ancestry(DB.orm, backup),
      copiesOf(DB.orm, [backup.job.id]),
      dependentsOf(DB.orm, backup.job),
      findHeal(DB.orm, backup.job.id),
      findIndex(DB.orm, backup.job.id),
    ])
    return {
      ...shown,
      disks: backup.disks.map(toBackupDisk),
      verification,
      heal: toHeal(heal),
      damages: damagesOf(chain),
      file_index: fileIndex ? toFileIndex(fileIndex) : null,
      copies_count: copies.length,
      dependents_count: dependents.length,
    }
  },
)
