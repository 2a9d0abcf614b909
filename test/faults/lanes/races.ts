/**
 * Lane G: two operations on the same restore points at once, in every order, over a real database and a real agent. Each gets an answer
 * of the contract, and when both have ended, all that the database, the repository and this machine say fits together.
 */
import { join } from 'node:path'
import type { AgentApi } from '../../../contract/agent.ts'
import { backupPolicies } from '../../../db/schema/index.ts'
import { look } from '../../../doctor/look.ts'
import { NbdClient } from '../../../nbd/client.ts'
import { openAlone, type Reply, readyVm } from '../../support/alone.ts'
import type { Random } from '../../support/damage.ts'
import { startDatabaseServer } from '../../support/database-server.ts'
import { copyInto, filesystemImage } from '../../support/images.ts'
import { openRealAgent } from '../../support/real-agent.ts'
import type { Lane } from '../lane.ts'
import { hostOf, inWords } from '../support/findings.ts'

const operations = [
  ...['start', 'complete', 'cancel', 'delete', 'mount', 'unmount', 'expire', 'verify', 'retention', 'reconcile'],
] as const
type Operation = (typeof operations)[number]
/** The second operation begins up to this long after the first: most take no longer. */
const delayMaxMs = 60
const settleRounds = 30

export const races: Lane = {
  title: 'two operations on the same things at once',
  open: async () => {
    const database = await startDatabaseServer()
    const real = await openRealAgent()
    const { nbdPorts } = hostOf(real)
    const alone = await openAlone({
      databaseSocket: database.socketPath,
      realAgent: real.agent,
      nbdPorts,
      now: new Date(),
    })
    const { call, db, bindings } = alone
    const image = join(real.folder, 'image.raw')
    filesystemImage(image, 'ext4', 32 * 2 ** 20, () => undefined)
    const vm = await readyVm(alone, { name: 'web', disks: [32 * 2 ** 20], path: real.repositoryPath })
    const policyId = 'one-day'
    await db.orm.insert(backupPolicies).values({
      id: policyId,
      name: policyId,
      primaryRepositoryId: vm.repositoryId,
      retentionDays: 1,
    })
    const cron = (name: string) => {
      const found = alone.loaded.crons.find((one) => one.function === name)
      if (!found) throw new Error(`there is no cron ${name}`)
      return () => found.fn.run(bindings)
    }
    const [reconcile, retention, verifyRound] = ['jobs/reconcile', 'jobs/apply-retention', 'jobs/verify'].map(cron)

    const start = (type: 'full' | 'incremental') =>
      call('POST', '/backups', {
        vm_name: vm.vmName,
        repository_id: vm.repositoryId,
        backup_type: type,
        policy_id: policyId,
      })
    const complete = (id: string) => call('POST', `/backups/${id}/complete`, { disk_id: 0, change_id: `change ${id}` })
    const fill = async (body: any, isFull: boolean) => {
      const [disk] = body.disk_results
      if (isFull) return copyInto(image, disk.nbd_port, disk.nbd_export_name)
      const client = await NbdClient.connect({
        host: '127.0.0.1',
        port: disk.nbd_port,
        exportName: disk.nbd_export_name,
      })
      await client.write(20 * 2 ** 20, Buffer.alloc(4096, body.backup_id))
      client.close()
    }
    const must = ({ status, body }: Reply): any => {
      if (status !== 200) throw new Error(`the world could not be made: ${JSON.stringify(body)}`)
      return body
    }
    const completed = async (type: 'full' | 'incremental'): Promise<string> => {
      const body = must(await start(type))
      await fill(body, type === 'full')
      must(await complete(body.backup_id))
      return body.backup_id
    }

    /** An old chain of two that the policy no longer wants, a newer full, and on it what the operations need. */
    const makeWorld = async (needed: ReadonlySet<Operation>) => {
      alone.clock.at = new Date()
      const points = (must(await call('GET', `/backups?vm_name=${vm.vmName}&status=completed`)).backups as any[])
        .map(({ backup_id }) => backup_id as string)
        .toReversed()
      if (points.length !== 3) {
        for (const id of points) await call('DELETE', `/backups/${id}?cascade=true`)
        for (const type of ['full', 'incremental', 'full'] as const) points.push(await completed(type))
        points.splice(0, points.length - 3)
      }
      await db.pool.query('UPDATE backup_jobs SET completed_at = ? WHERE id IN (?, ?)', [
        new Date(Date.now() - 5 * 24 * 3600 * 1000),
        points[0],
        points[1],
      ])
      let running: string | undefined
      if (needed.has('complete') || needed.has('cancel')) {
        const body = must(await start('incremental'))
        await fill(body, false)
        running = body.backup_id
      }
      return { points, running }
    }
    const mountOf = async (id: string) =>
      (await call('POST', '/restore/mount', { backup_id: id, disk_index: 0 })).body.mount_id

    const agent: AgentApi = real.agent
    /** Ends when nothing is on its way any more. */
    const settle = async () => {
      for (let round = 0; round < settleRounds; round++) {
        await verifyRound!()
        await reconcile!()
        const { mounts } = await agent.listMounts()
        for (const { mount_id } of mounts) await call('DELETE', `/restore/${mount_id}`)
        const { body } = await call('GET', `/backups?vm_name=${vm.vmName}`)
        const open = (body.backups as any[]).filter(
          ({ status }) => !['completed', 'failed', 'cancelled'].includes(status),
        )
        for (const { backup_id } of open) await call('POST', `/backups/${backup_id}/cancel`)
        if (open.length === 0 && mounts.length === 0) return
      }
    }

    const trial = async (random: Random) => {
      const [first, second] = [operations[random(operations.length)]!, operations[random(operations.length)]!]
      const world = await makeWorld(new Set([first, second]))
      // Both on the same point: an old one, its increment, or the newest.
      const point = world.points[random(3)]!
      const hasMount = first === 'unmount' || second === 'unmount' || first === 'expire' || second === 'expire'
      const mountId = hasMount ? await mountOf(point) : undefined
      const perform: Record<Operation, () => Promise<Reply | undefined>> = {
        start: () => start('incremental'),
        complete: () => complete(world.running!),
        cancel: () => call('POST', `/backups/${world.running}/cancel`),
        delete: () => call('DELETE', `/backups/${point}?cascade=true`),
        mount: () => call('POST', '/restore/mount', { backup_id: point, disk_index: 0 }),
        unmount: () => call('DELETE', `/restore/${mountId}`),
        expire: () => agent.removeMount(mountId!, 'user').then(() => undefined),
        verify: async () => {
          const reply = await call('POST', `/backups/${point}/verify`, {})
          await verifyRound!()
          return reply
        },
        retention: () => retention!().then(() => undefined),
        reconcile: () => reconcile!().then(() => undefined),
      }
      const violations: string[] = []
      const delayMs = random(delayMaxMs)
      const run = async (operation: Operation) => {
        try {
          const reply = await perform[operation]()
          if (reply && (reply.status >= 500 || (reply.status >= 400 && !reply.body.code)))
            violations.push(`${operation} was answered ${reply.status} ${JSON.stringify(reply.body)}`)
          return reply ? `${reply.status} ${reply.body.code ?? ''}` : 'done'
        } catch (error) {
          violations.push(`${operation} threw ${(error as Error).message}`)
          return 'threw'
        }
      }
      const answers = await Promise.all([
        run(first),
        new Promise((resolve) => setTimeout(resolve, delayMs)).then(() => run(second)),
      ])
      await settle()
      violations.push(...inWords(await look(db, hostOf(real), new Date())))
      const damaged = must(await call('GET', `/backups?vm_name=${vm.vmName}`)).backups.filter(
        ({ verify_state }: { verify_state?: string }) => verify_state === 'damaged',
      )
      if (damaged.length > 0) violations.push(`found damaged: ${JSON.stringify(damaged)}`)
      const what = `${first} (${answers[0]}), ${delayMs} ms later ${second} (${answers[1]}), on point ${world.points.indexOf(point)}`
      return { fired: true, what, violations }
    }
    return {
      trial,
      close: async () => {
        await alone.close()
        await real.close()
        await database.stop()
      },
    }
  },
}
