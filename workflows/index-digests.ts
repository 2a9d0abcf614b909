/** Reads what the files of indexed restore points hold, where a policy asks for it, so that they are found by their SHA-256. */
import { HubError } from '../contract/errors.ts'
import { findBackup } from '../db/queries/backups.ts'
import { type FileWithoutDigest, filesWithoutDigest, keepDigests, pathBytes } from '../db/queries/file-digests.ts'
import { type FileIndexRow, nextDigests, nextIndex, updateIndex } from '../db/queries/file-index.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { digestLines } from './agent-lines.ts'
import { fromPlaces, placesOf } from './restore-places.ts'

type DigestEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** Of one point; ends early when files wait to be found by name, and goes on at the next call. @returns whether there was one */
export const readNextDigests = async (env: DigestEnv): Promise<boolean> => {
  const row = await nextDigests(env.DB.orm)
  if (!row) return false
  try {
    if (await readDigestsOf(env, row))
      await updateIndex(env.DB.orm, row.backupJobId, { digests: 'completed', errorMessage: null })
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    const errorMessage = `The contents could not be read: ${error.message}`
    await updateIndex(env.DB.orm, row.backupJobId, { digests: 'none', errorMessage })
  }
  return true
}

/** @returns whether all was read */
const readDigestsOf = async (env: DigestEnv, row: FileIndexRow): Promise<boolean> => {
  const { DB, AGENT } = env
  const backup = await findBackup(DB.orm, row.backupJobId)
  if (backup?.job.status !== 'completed' || backup.job.mergingInto !== null)
    throw new HubError('BACKUP_NOT_FOUND', 'it is no restore point any more')
  const places = await placesOf(env, backup, backup.disks, undefined)
  for await (const files of filesWithoutDigest(DB, row.vmBackupContextId, row.pointAt)) {
    const asked = { vm_name: backup.job.vmName, volume: files[0]!.volume, paths_b64: files.map(base64Path) }
    const { result: stream } = await fromPlaces(places, ({ chains }) => AGENT.readDigests({ ...asked, disks: chains }))
    const digests: [FileWithoutDigest, string][] = []
    let isWhole = false
    try {
      for await (const line of digestLines(stream)) {
        if (line === 'end') isWhole = true
        else if (files[line[0]]) digests.push([files[line[0]]!, line[1]])
      }
    } finally {
      stream.destroy()
      // Also of a batch that was cut off: what is known need not be read again.
      await keepDigests(DB, digests)
    }
    if (!isWhole) throw new HubError('SERVICE_UNAVAILABLE', 'reading was cut off')
    if (await nextIndex(DB.orm)) return false
  }
  return true
}
const base64Path = (file: FileWithoutDigest) => pathBytes(file).toString('base64')
