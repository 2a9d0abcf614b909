/** A real agent with a good restore point in it, what is done to it in a trial, and what must hold after that. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { DiskChain, DiskFile } from '../../../contract/agent.ts'
import { program } from '../../../host-agent/exec.ts'
import { chainNode } from '../../../host-agent/exports/qcow2.ts'
import { NbdClient } from '../../../nbd/client.ts'
import { filesystemImage, sh } from '../../support/images.ts'
import { openRealAgent, type RealAgent } from '../../support/real-agent.ts'
import { mountOf, sealedDisk, sealRequest } from '../../support/sealed-disk.ts'
import { hostFindings } from './findings.ts'

const diskBytes = 32 * 2 ** 20
const fileContent = Buffer.alloc(300_000, 'what the guest wrote')
const portsForTrials = 8

export const operations = [
  'full',
  'incremental',
  'cancel',
  'mount',
  'read',
  'verify',
  'delete',
  'copy',
  'merge',
] as const
export type Operation = (typeof operations)[number]

export type AgentWorld = {
  real: RealAgent
  /** The restore point that every trial must leave whole. */
  good: DiskChain
  /** What the next trial writes, deletes, copies or merges. `delete` and `copy` find a sealed file there, `merge` one above another that goes. */
  prepare: (operation: Operation) => Promise<DiskFile>
  perform: (operation: Operation, file: DiskFile) => Promise<void>
  /** Frees what a trial left in progress, as the hub would, and names what does not hold then. */
  check: (operation: Operation, file: DiskFile) => Promise<string[]>
  close: () => Promise<void>
}

const path = (text: string) => ({ path_b64: Buffer.from(text).toString('base64') })
const errorText = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const { details, cause } = error as { details?: string; cause?: unknown }
  return [error.message, details, ...(cause === undefined ? [] : [`(${errorText(cause)})`])].filter(Boolean).join(' ')
}

export const openAgentWorld = async (options: Parameters<typeof openRealAgent>[0] = {}): Promise<AgentWorld> => {
  const real = await openRealAgent(options)
  const { agent } = real
  const image = join(real.folder, 'image.raw')
  const fillImage = (root: string) => writeFileSync(join(root, 'file'), fileContent)
  filesystemImage(image, 'ext4', diskBytes, fillImage)
  const good: DiskChain = await sealedDisk(real, image)
  const hostImage = join(real.folder, 'host.raw')
  filesystemImage(hostImage, 'btrfs', 0, fillImage)
  /** Mounted in turns: by a driver in a sandbox, and by the host itself. */
  const mountable: DiskChain[] = [good, await sealedDisk(real, hostImage)]
  const original = readFileSync(image)
  const otherPath = join(real.folder, 'other-repository')
  mkdirSync(otherPath)
  await agent.ensureRepository('other', otherPath)
  /** What the disk of the trial must hold when it is a restore point. */
  let written: Buffer = original
  let number = 0

  const verify = async (chain: DiskChain) => {
    const ask = { chain, manifest_digest: null, from_bytes: 0, bytes_per_second: 0, wait_seconds: 30 }
    return (await agent.verifyFile(ask)).damages
  }
  const exportOf = (file: DiskFile, parents: string[]) =>
    agent.ensureExport(file.base, {
      kind: 'new',
      job_id: file.base,
      port: real.firstPort + 30 + (number % portsForTrials),
      file,
      virtual_size_bytes: diskBytes,
      parent_bases: parents,
      shared_connections: 10,
    })
  const copyOf = (file: DiskFile): DiskFile => ({ ...file, repository_id: 'other' })
  const copy = (file: DiskFile) =>
    agent.copyFile({
      file,
      to_repository_id: 'other',
      manifest_digest: null,
      replace: false,
      bytes_per_second: 0,
      wait_seconds: 30,
    })
  /** The point below the trial's, which is merged into it. */
  const goingOf = ({ base }: DiskFile) => `${base}-going`
  const merge = async ({ base, ...disk }: DiskFile) => {
    const { repository_id, vm_backup_context_id, disk_index } = disk
    for (const step of ['prepare', 'finish'] as const)
      await agent.mergeFile({
        disk: { repository_id, vm_backup_context_id, disk_index },
        base: goingOf({ ...disk, base }),
        into_base: base,
        below_bases: good.bases,
        step,
        stored_bytes: 0,
        wait_seconds: 30,
      })
  }
  const fill = async (file: DiskFile, port: number, before: Buffer) => {
    written = Buffer.from(before)
    const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: file.base })
    try {
      for (let at = 0; at < 4; at++) {
        const data = randomBytes(100_000)
        await client.write(at * 3_000_000, data)
        data.copy(written, at * 3_000_000)
      }
    } finally {
      client.destroy()
    }
  }
  const write = async (file: DiskFile, parents: string[]) => {
    const { port } = await exportOf(file, parents)
    await fill(file, port, parents.length > 1 ? written : parents.length > 0 ? original : Buffer.alloc(original.length))
    await agent.sealExport(file.base, sealRequest(file.base))
  }
  const read = async (work: Promise<Readable>) => buffer(await work)
  const mount = async (look: (id: string) => Promise<void>) => {
    const id = randomUUID()
    await agent.ensureMount(id, mountOf(mountable[number % mountable.length]!))
    await look(id)
    await agent.removeMount(id, 'user')
  }

  const perform: Record<Operation, (file: DiskFile) => Promise<void>> = {
    full: (file) => write(file, []),
    incremental: (file) => write(file, good.bases),
    cancel: async (file) => {
      const { port } = await exportOf(file, good.bases)
      await fill(file, port, original)
      await agent.dropExport(file.base, true)
    },
    mount: () => mount(async () => undefined),
    read: () =>
      mount(async (id) => {
        await agent.listFiles(id, { ...path('/'), recursive: true, limit: 100, offset: 0 })
        const content = await read(
          agent.readFile(id, { ...path('/file'), start: 0, length: fileContent.length, etag: '' }),
        )
        if (!content.equals(fileContent)) throw new Error('WRONG BYTES were served')
        await read(agent.readArchive(id, { ...path('/'), format: 'zip' }))
      }),
    verify: async () => {
      const damages = await verify(good)
      // A file that the disk does not give is damaged; whatever else goes wrong says nothing of it.
      const invented = damages.filter(({ detail }) => !/EIO: i\/o error, (open|read|stat)/.test(detail))
      if (invented.length > 0) throw new Error(`the verification found ${JSON.stringify(invented)}`)
    },
    delete: async (file) => {
      await agent.deleteDiskFile(file)
    },
    copy: async (file) => {
      await copy(file)
    },
    merge,
  }

  const readBack = ({ bases, vm_backup_context_id, disk_index }: DiskChain): Buffer => {
    const raw = join(real.folder, 'read-back.raw')
    const folder = join(real.repositoryPath, vm_backup_context_id, `disk-${disk_index}`)
    const node = chainNode(
      bases.map((base) => join(folder, `${base}.qcow2`)),
      true,
    )
    sh(program.qemuImg, ['convert', '-O', 'raw', '--', `json:${JSON.stringify(node)}`, raw])
    return readFileSync(raw)
  }

  const checkCopy = async (file: DiskFile): Promise<string[]> => {
    await copy(file)
    const folder = (root: string) => join(root, file.vm_backup_context_id, `disk-${file.disk_index}`)
    const violations = ['.qcow2', '.blocks', '.manifest.json'].flatMap((suffix) => {
      const [own, copied] = [real.repositoryPath, otherPath].map((root) =>
        readFileSync(join(folder(root), `${file.base}${suffix}`)),
      )
      return own!.equals(copied!) ? [] : [`the copy of ${file.base}${suffix} differs`]
    })
    await agent.deleteDiskFile(copyOf(file))
    return violations
  }

  const check = async (operation: Operation, file: DiskFile): Promise<string[]> => {
    const violations: string[] = []
    const state = await agent.getExport(file.base).catch(() => undefined)
    // A seal that was cut is finished by the agent after it.
    const ended =
      state && ['writing', 'sealing'].includes(state.status)
        ? await agent.sealExport(file.base, sealRequest(file.base))
        : state
    if (ended) await agent.dropExport(file.base, ended.status !== 'sealed')
    for (const { mount_id } of (await agent.listMounts()).mounts) await agent.removeMount(mount_id, 'user')
    // What was begun goes on, and comes to its end.
    if (operation === 'merge') await merge(file)
    if (operation === 'copy') violations.push(...(await checkCopy(file)))
    const chain = { ...good, bases: operation === 'full' ? [file.base] : [file.base, ...good.bases] }
    const [found] = await agent.inspectChain(chain)
    if (found!.sealed) {
      const damages = await verify(chain)
      if (damages.length > 0) violations.push(`a restore point is damaged: ${JSON.stringify(damages)}`)
      if (!readBack(chain).equals(written)) violations.push('a restore point does not hold what was written')
    } else if (ended?.status === 'sealed' || operation === 'merge' || operation === 'copy')
      violations.push('a sealed file is no restore point')
    await agent.deleteDiskFile(file)
    if ((await agent.inspectChain(chain))[0]!.exists) violations.push('a deleted file is still there')
    const damages = await verify(good)
    if (damages.length > 0) violations.push(`the parent is damaged: ${JSON.stringify(damages)}`)
    return [...violations, ...(await hostFindings(real))]
  }

  return {
    real,
    good,
    prepare: async (operation) => {
      const { repository_id, vm_backup_context_id } = good
      const file: DiskFile = { repository_id, vm_backup_context_id, disk_index: 0, base: `trial-${++number}` }
      const writeSealed = async (one: DiskFile, parents: string[]) => {
        await write(one, parents)
        await agent.dropExport(one.base, false)
      }
      if (operation === 'merge') {
        const going = { ...file, base: goingOf(file) }
        await writeSealed(going, good.bases)
        await writeSealed(file, [going.base, ...good.bases])
      } else if (operation === 'delete' || operation === 'copy') await writeSealed(file, good.bases)
      return file
    },
    perform: (operation, file) => perform[operation](file),
    // What can not even be asked does not hold either.
    check: (operation, file) =>
      check(operation, file).catch((error: unknown) => [`the check failed: ${errorText(error)}`]),
    close: () => real.close(),
  }
}
