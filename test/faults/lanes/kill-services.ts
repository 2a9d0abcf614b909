/**
 * Lane A, the whole product: hub, host-agent, source node, database or a qemu process is killed in an operation that was asked for over
 * HTTP, at a random time or at a system call. The launcher starts it again; the operation ends or has ended, and everything fits together.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../../runtime/service.ts'
import type { Random } from '../../support/damage.ts'
import { registerVm, runBackup, startHub } from '../../support/hub.ts'
import { filesystemImage, sh } from '../../support/images.ts'
import type { Lane } from '../lane.ts'
import { inWords } from '../support/findings.ts'
import { systemCalls, whileInjected } from '../support/strace.ts'

const victims = ['hub', 'host-agent', 'source-node', 'database', 'qemu'] as const
const operations = ['full', 'incremental', 'cancel', 'read', 'verify', 'delete'] as const
type Operation = (typeof operations)[number]
const delayMaxMs: Record<Operation, number> = {
  full: 700,
  incremental: 500,
  cancel: 300,
  read: 250,
  verify: 2500,
  delete: 30,
}
const content = Buffer.alloc(200_000, 'what the guest wrote')

const services = ['hub', 'host-agent', 'source-node', 'database'] as const
/** By what they say, all of them change something. */
const talk = 'write,writev,sendto,sendmsg'
const { make, write, sync, rename, remove, read } = systemCalls
const callsOf: Record<(typeof services)[number], string[]> = {
  hub: [talk],
  'host-agent': [talk, make, write, sync, rename, remove],
  'source-node': [talk, make, read],
  database: [talk, write, sync],
}
/** Few threads make more of them in one operation. */
const nthMax = 30

/** One kill of a trial. */
type Strike = {
  what: string
  /** Does the work, and kills meanwhile. @returns whether it struck before the work was over */
  during: (work: () => Promise<void>) => Promise<boolean>
}

const lane = (title: string, isByCall: boolean): Lane => ({
  title,
  open: async () => {
    // Stalls are noticed soon, for nobody here is slow.
    const hub = await startHub({ SENDENSE_STALL_SECONDS: '2', SENDENSE_STALL_FAIL_SECONDS: '4' })
    const folder = join(hub.folder, 'vms/web')
    mkdirSync(folder)
    const image = join(folder, 'disk0.raw')
    filesystemImage(image, 'ext4', 64 * 2 ** 20, (root) => writeFileSync(join(root, 'file'), content))
    const vm = await registerVm(hub, 'web')

    /** Descendants of the host-agent. */
    const qemuPids = (): number[] => {
      const agent = hub.pidOf('host-agent')
      return readFileSync(`/proc/${agent}/task/${agent}/children`, 'utf8')
        .split(' ')
        .map(Number)
        .filter((pid) => pid > 0 && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu'))
    }
    const kill = async (victim: (typeof victims)[number], random: Random): Promise<boolean> => {
      if (victim !== 'qemu') {
        await hub.kill(victim)
        return true
      }
      const pids = qemuPids()
      if (pids.length > 0) process.kill(pids[random(pids.length)]!, 'SIGKILL')
      return pids.length > 0
    }
    /** A backup that is completed, to work on. */
    const goodPoint = async (): Promise<any> => {
      const { body } = await hub.api('GET', '/backups/chain?vm_name=web')
      const whole = (body.backups as any[] | undefined)?.at(-1)
      return whole ?? runBackup(hub, vm, 'full')
    }
    const change = () => {
      const fd = openSync(image, 'r+')
      writeSync(fd, randomBytes(4096), 0, 4096, 40 * 2 ** 20)
      closeSync(fd)
    }

    const perform: Record<Operation, (point: any) => Promise<unknown>> = {
      full: () => runBackup(hub, vm, 'full'),
      incremental: () => runBackup(hub, vm, 'incremental'),
      cancel: async () => {
        const { body } = await hub.api('POST', '/backups', {
          vm_name: 'web',
          repository_id: vm.repositoryId,
          backup_type: 'full',
        })
        await hub.api('POST', `/backups/${body.backup_id}/cancel`)
      },
      read: async ({ backup_id }) => {
        const { body } = await hub.api('POST', '/restore/mount', { backup_id, disk_index: 0 })
        const response = await hub.fetch(`/restore/${body.mount_id}/download?path=/file`)
        const served = Buffer.from(await response.arrayBuffer())
        if (response.status === 200 && !served.equals(content)) throw new Error('WRONG BYTES were served')
        await hub.fetch(`/restore/${body.mount_id}/download-directory?path=/`).then((answer) => answer.arrayBuffer())
        await hub.api('DELETE', `/restore/${body.mount_id}`)
      },
      verify: async ({ backup_id }) => {
        await hub.api('POST', `/backups/${backup_id}/verify`, {})
        await waitFor(
          'the verification',
          async () => (await hub.api('GET', `/backups/${backup_id}`)).body.verification === null,
          15_000,
        )
      },
      delete: ({ backup_id }) => hub.api('DELETE', `/backups/${backup_id}?cascade=true`),
    }

    /** Waits until nothing is on its way any more, as an admin would who does nothing. */
    const settle = async () => {
      await hub.waitHealthy()
      const { body } = await hub.api('GET', '/backups?vm_name=web&limit=5')
      // A deletion that was cut off is finished meanwhile: what is gone has ended.
      const hasEnded = async (backupId: string) => {
        const { status, body: backup } = await hub.api('GET', `/backups/${backupId}`)
        return status === 404 || ['completed', 'failed', 'cancelled'].includes(backup.status)
      }
      for (const { backup_id } of body.backups)
        await waitFor(`the end of ${backup_id}`, () => hasEnded(backup_id), 60_000)
      for (const { mount_id } of (await hub.api('GET', '/restore/mounts')).body.mounts)
        await hub.api('DELETE', `/restore/${mount_id}`)
      await waitFor(
        'the ports to be free',
        async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0,
        60_000,
      )
    }

    const atTime = (random: Random, operation: Operation): Strike => {
      const victim = victims[random(victims.length)]!
      const delayMs = random(delayMaxMs[operation])
      return {
        what: `${victim} killed after ${delayMs} ms`,
        during: async (work) => {
          let isOver = false
          const working = work().then(() => {
            isOver = true
          })
          await sleep(delayMs)
          const wasRunning = !isOver
          const fired = (await kill(victim, random)) && wasRunning
          await working
          return fired
        },
      }
    }
    const atCall = (random: Random): Strike => {
      const victim = services[random(services.length)]!
      const calls = callsOf[victim][random(callsOf[victim].length)]!
      const nth = 1 + random(1 + random(nthMax))
      const injection = { calls, fault: 'signal=SIGKILL', nth, onwards: false }
      return {
        what: `${victim} killed at call ${nth} of ${calls}`,
        during: async (work) => {
          const { struck, wasStuck } = await whileInjected(
            hub.pidOf(victim),
            injection,
            join(hub.folder, 'strace.log'),
            work,
          )
          if (wasStuck) await hub.kill(victim).catch(() => undefined)
          return struck.length > 0
        },
      }
    }

    const trial = async (random: Random) => {
      const operation = operations[random(operations.length)]!
      const strike = isByCall ? atCall(random) : atTime(random, operation)
      await hub.waitHealthy()
      const point = await goodPoint()
      if (operation === 'incremental') change()
      let answer = ''
      const fired = await strike.during(() =>
        perform[operation](point).then(
          () => undefined,
          (error: Error) => {
            answer = error.message
          },
        ),
      )
      const violations = /WRONG BYTES|INTERNAL/.test(answer) ? [answer] : []
      try {
        await settle()
        const { findings } = await hub.doctor()
        violations.push(...inWords(findings))
        const { body } = await hub.api('GET', '/backups/chain?vm_name=web')
        const newest = body.backups?.at(-1)
        if (newest) {
          const { disks, verify_state } = (await hub.api('GET', `/backups/${newest.backup_id}`)).body
          if (verify_state === 'damaged') violations.push(`${newest.backup_id} was found damaged`)
          if (operation === 'full' || operation === 'incremental') {
            // The newest that is completed is this one, or one from before the last change.
            const isThis = newest.backup_id !== point.backup_id
            const equal = () =>
              sh('/usr/bin/qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', disks[0].qcow2_path, image])
            if (isThis && !equal().includes('identical')) violations.push('a restore point differs from its source')
          }
        }
      } catch (error) {
        violations.push(`the check failed: ${(error as Error).message}`)
      }
      return { fired, what: `${operation}, ${strike.what}: ${answer || 'done'}`, violations }
    }
    return { trial, close: () => hub.stop() }
  },
})

export const killServices = lane('kill -9 of hub, host-agent, source node, database or qemu', false)
export const killServicesAtCalls = lane('kill -9 at a system call of hub, host-agent, source node or database', true)
