/**
 * Lane D, the whole product on one disk: database, keys, ledger and repository lose their power at any moment. The hub starts over what is
 * left; what it had answered is so, and everything fits together.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../../runtime/service.ts'
import { type Hub, registerVm, runBackup, startHub, waitForEnd } from '../../support/hub.ts'
import { filesystemImage } from '../../support/images.ts'
import type { Lane } from '../lane.ts'
import { inWords } from '../support/findings.ts'
import { type LoggedDisk, openLoggedDisk } from '../support/logged-disk.ts'

const diskBytes = 768 * 2 ** 20

/** What the hub had answered when the log was that long. */
type Answered = { backupId: string; completed: number; deleting: number; deleted: number }

const live = async (hub: Hub, disk: LoggedDisk): Promise<Answered[]> => {
  const folder = join(hub.folder, 'vms/web')
  mkdirSync(folder)
  const image = join(folder, 'disk0.raw')
  filesystemImage(image, 'ext4', 32 * 2 ** 20, (root) => writeFileSync(join(root, 'file'), randomBytes(1_000_000)))
  const vm = await registerVm(hub, 'web')
  const answered: Answered[] = []
  const backup = async (type: 'full' | 'incremental') => {
    const { backup_id, status } = await runBackup(hub, vm, type)
    if (status !== 'completed') throw new Error(`the history could not be made: ${status}`)
    answered.push({ backupId: backup_id, completed: disk.position(), deleting: Infinity, deleted: Infinity })
  }
  const remove = async (one: Answered) => {
    one.deleting = disk.position()
    await hub.api('DELETE', `/backups/${one.backupId}`)
    one.deleted = disk.position()
  }
  await backup('full')
  const fd = openSync(image, 'r+')
  writeSync(fd, randomBytes(100_000), 0, 100_000, 20 * 2 ** 20)
  closeSync(fd)
  await backup('incremental')
  await backup('full')
  await remove(answered[1]!)
  return answered
}

const look = async (hub: Hub, answered: Answered[], position: number): Promise<string[]> => {
  const violations: string[] = []
  await hub.waitHealthy()
  const { body } = await hub.api('GET', '/backups')
  for (const { backup_id } of body.backups) await waitForEnd(hub, backup_id, 60_000)
  await waitFor(
    'the ports to be free',
    async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0,
    60_000,
  )
  const { findings } = await hub.doctor()
  violations.push(...inWords(findings))
  for (const { backupId, completed, deleting, deleted } of answered) {
    const shown = (await hub.api('GET', `/backups/${backupId}`)).body
    const isThere = shown.status === 'completed'
    if (position >= deleted && isThere) violations.push(`${backupId} is there again after its deletion was answered`)
    if (position >= completed && position < deleting && !isThere)
      violations.push(`${backupId} was completed and is ${shown.status ?? shown.code}`)
    if (!isThere) continue
    await hub.api('POST', `/backups/${backupId}/verify`, {})
    await waitFor(
      'the verification',
      async () => (await hub.api('GET', `/backups/${backupId}`)).body.verify_state !== 'unverified',
      30_000,
    )
    const { verify_state, damages } = (await hub.api('GET', `/backups/${backupId}`)).body
    if (verify_state !== 'verified') violations.push(`${backupId} is ${verify_state}: ${JSON.stringify(damages)}`)
  }
  return violations
}

export const powerCutOfHub: Lane = {
  title: 'a power cut of the disk that holds all of a hub',
  open: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sendense-power-'))
    const mountPoint = join(folder, 'hub')
    mkdirSync(mountPoint)
    const disk = await openLoggedDisk(join(folder, 'disk'), mountPoint, diskBytes)
    const hub = await startHub({ SENDENSE_STALL_SECONDS: '2', SENDENSE_STALL_FAIL_SECONDS: '4' }, mountPoint)
    // Before the hub is ready there is nothing that it could have promised.
    const first = disk.position()
    const answered = await live(hub, disk)
    const last = disk.position()
    await hub.end()
    await disk.end()
    const moments = answered.flatMap(({ completed, deleted }) => [completed, deleted]).filter((one) => one <= last)
    return {
      trial: async (random) => {
        const position = random(2) === 0 ? moments[random(moments.length)]! : first + random(last - first + 1)
        const violations = await disk.whileCut(position, random, async () => {
          try {
            await hub.start()
          } catch (error) {
            return [`the hub does not start: ${(error as Error).message.slice(0, 2000)}`]
          }
          try {
            return await look(hub, answered, position)
          } catch (error) {
            return [`the check failed: ${(error as Error).message}`]
          } finally {
            await hub.end()
          }
        })
        return { fired: true, what: `the power cut after write ${position} of ${last}`, violations }
      },
      close: async () => rmSync(folder, { recursive: true }),
    }
  },
}
