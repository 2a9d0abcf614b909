/** Lane A, the host-agent: killed at a random moment of an operation, and started again. */
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { DiskChain, DiskFile } from '../../../contract/agent.ts'
import { checkHost } from '../../../doctor/check-host.ts'
import { NbdClient } from '../../../nbd/client.ts'
import type { Random } from '../../support/damage.ts'
import { filesystemImage } from '../../support/images.ts'
import { openRealAgent } from '../../support/real-agent.ts'
import { sealedDisk, sealRequest } from '../../support/sealed-disk.ts'
import type { Lane } from '../lane.ts'

const diskBytes = 16 * 2 ** 20
const operations = ['write', 'mount', 'verify', 'delete'] as const
type Operation = (typeof operations)[number]

export const killAgent: Lane = {
  title: 'kill -9 of the host-agent at a random moment',
  open: async () => {
    const real = await openRealAgent()
    const { agent } = real
    const image = join(real.folder, 'image.raw')
    filesystemImage(image, 'ext4', diskBytes, () => undefined)
    const good: DiskChain = await sealedDisk(real, image)
    /** How long each operation takes when it is left alone, in ms; learnt on the way. */
    const usual: Record<Operation, number> = { write: 300, mount: 150, verify: 50, delete: 10 }
    let number = 0

    const verify = async (chain: DiskChain) =>
      (
        await agent.verifyFile({
          chain,
          manifest_digest: null,
          from_bytes: 0,
          bytes_per_second: 0,
          wait_seconds: 30,
        })
      ).damages
    const write = async (file: DiskFile) => {
      const port = real.firstPort + 30 + (number % 8)
      await agent.ensureExport(file.base, {
        kind: 'new',
        job_id: file.base,
        port,
        file,
        virtual_size_bytes: diskBytes,
        parent_bases: good.bases,
        shared_connections: 10,
      })
      const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: file.base })
      try {
        for (let at = 0; at < 4; at++) await client.write(at * 3_000_000, randomBytes(100_000))
      } finally {
        client.destroy()
      }
      await agent.sealExport(file.base, sealRequest(file.base))
    }
    const perform: Record<Operation, (file: DiskFile) => Promise<unknown>> = {
      write,
      mount: async () => {
        const id = randomUUID()
        await agent.ensureMount(id, { ...good, vm_name: 'vm' })
        await agent.listFiles(id, {
          path_b64: Buffer.from('/').toString('base64'),
          recursive: false,
          limit: 10,
          offset: 0,
        })
        await agent.removeMount(id, 'user')
      },
      verify: () => verify(good),
      delete: (file) => agent.deleteDiskFile(file),
    }

    /** After the restart: the file is a whole restore point or none at all, and nothing is left of the rest. */
    const look = async (file: DiskFile): Promise<string[]> => {
      const violations: string[] = []
      const state = await agent.getExport(file.base).catch(() => undefined)
      if (state?.status === 'writing') violations.push('an export of the dead agent is said to be written still')
      // A seal that was cut is finished by the new agent.
      const ended = state?.status === 'sealing' ? await agent.sealExport(file.base, sealRequest(file.base)) : state
      if (ended) await agent.dropExport(file.base, ended.status !== 'sealed')
      const chain = { ...good, bases: [file.base, ...good.bases] }
      const [check] = await agent.inspectChain(chain)
      if (check!.sealed) {
        const damages = await verify(chain)
        if (damages.length > 0) violations.push(`a restore point is damaged: ${JSON.stringify(damages)}`)
      } else if (ended?.status === 'sealed') violations.push('a sealed file is no restore point')
      await agent.deleteDiskFile(file)
      if ((await agent.inspectChain(chain))[0]!.exists) violations.push('a deleted file is still there')
      const damages = await verify(good)
      if (damages.length > 0) violations.push(`the parent is damaged: ${JSON.stringify(damages)}`)
      const { mounts } = await agent.listMounts()
      if (mounts.length > 0) violations.push(`mounts are left: ${mounts.map(({ mount_id }) => mount_id).join(', ')}`)
      const findings = await checkHost({
        stateDir: join(real.folder, 'state'),
        restoreRoot: real.restoreRoot,
        nbdPorts: { first: real.firstPort, last: real.firstPort + 39 },
      })
      return [
        ...violations,
        ...findings.map(({ invariant, subject, problem }) => `${invariant} ${subject}: ${problem}`),
      ]
    }

    const trial = async (random: Random) => {
      const operation = operations[random(operations.length)]!
      const file: DiskFile = {
        repository_id: good.repository_id,
        vm_backup_context_id: good.vm_backup_context_id,
        disk_index: 0,
        base: `trial-${++number}`,
      }
      if (operation === 'delete') {
        await write(file)
        await agent.dropExport(file.base, false)
      }
      const delayMs = random(Math.ceil(usual[operation] * 1.1 * 1000)) / 1000
      let isOver = false
      const began = performance.now()
      const running = perform[operation](file).then(
        () => {
          isOver = true
          usual[operation] = usual[operation] * 0.8 + (performance.now() - began) * 0.2
        },
        () => undefined,
      )
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      const fired = !isOver
      await real.kill()
      await running
      await real.start()
      return { fired, what: `${operation}, killed after ${delayMs.toFixed(1)} ms`, violations: await look(file) }
    }
    return { trial, close: () => real.close() }
  },
}
