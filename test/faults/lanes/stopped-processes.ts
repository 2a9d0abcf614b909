/**
 * Lane H: a process that has to do with a guest's disk stops answering, at a random time of what it is asked for. A hostile disk may make a driver or QEMU loop; stopped it
 * looks the same, and is no less stubborn. It may cost its own mount, which is gone afterwards, and nothing else.
 */
import { randomUUID } from 'node:crypto'
import { readlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DiskChain } from '../../../contract/agent.ts'
import { HubError } from '../../../contract/errors.ts'
import type { Random } from '../../support/damage.ts'
import { filesystemImage } from '../../support/images.ts'
import { openRealAgent, type RealAgent } from '../../support/real-agent.ts'
import { descendantsOf, readerOfMount } from '../../support/sandbox.ts'
import { mountOf, sealedDisk } from '../../support/sealed-disk.ts'
import type { Lane } from '../lane.ts'
import { hostFindings } from '../support/findings.ts'
import { makeLvmSeed } from '../support/hostile-volumes.ts'

const mib = 2 ** 20
const content = Buffer.alloc(3_000_000, 'what the guest wrote')
/** After that a reader that says nothing is given up. */
const readerSeconds = 2
/** A sandbox that does not start is given up after 15 s; then come its end and that of the mount. */
const patienceMs = 40_000
/** Mounts after a stop that may fail: of a sandbox that was stopped while it waited for its mount, and of one that was just being made. */
const failuresMax = 2
/** Of the operations; random times lie within it, and some after it. */
const spreadMs = 250

const path = (text: string) => ({ path_b64: Buffer.from(text).toString('base64') })
const operations = ['mount', 'list', 'read', 'archive', 'index'] as const
type Operation = (typeof operations)[number]

const fill = (root: string) => {
  writeFileSync(join(root, 'file'), content)
  for (let at = 0; at < 40; at++) writeFileSync(join(root, `file ${at}`), 'x')
}
const seal = async (real: RealAgent): Promise<Record<string, DiskChain>> => {
  const images: Record<string, string> = {}
  for (const kind of ['ext4', 'ntfs'] as const) {
    images[kind] = join(real.folder, `${kind}.raw`)
    filesystemImage(images[kind], kind, 32 * mib, fill)
  }
  images.lvm = makeLvmSeed(real.folder, images.ext4!)
  const disks: Record<string, DiskChain> = {}
  for (const [name, image] of Object.entries(images)) disks[name] = await sealedDisk(real, image)
  return disks
}

/** @returns whether `work` ended in time, with a result or an error of the contract */
const inTime = async (work: Promise<unknown>, what: string, violations: string[]): Promise<boolean> => {
  const late = Symbol('late')
  const outcome = await Promise.race([work.catch((error: unknown) => error), sleep(patienceMs, late, { ref: false })])
  if (outcome === late) violations.push(`${what} did not end within ${patienceMs / 1000} s`)
  // A content that is cut has no answer of the contract any more.
  const isCut = ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes((outcome as NodeJS.ErrnoException)?.code ?? '')
  if (outcome instanceof Error && !(outcome instanceof HubError) && !isCut)
    violations.push(`${what}: no answer of the contract: ${outcome}`)
  return outcome !== late
}

export const stoppedProcesses: Lane = {
  title: 'a process that reads a disk stops at a random time',
  open: async () => {
    const real = await openRealAgent({ readerSeconds })
    const { agent } = real
    const disks = await seal(real)
    const goodMount = randomUUID()
    await agent.ensureMount(goodMount, mountOf(disks.ext4!))
    const namespaceOf = (pid: number) => readlinkSync(`/proc/${pid}/ns/pid`)
    const own = namespaceOf(process.pid)
    const good = namespaceOf(readerOfMount(real.pid()))
    const readFile = async (id: string) =>
      buffer(await agent.readFile(id, { ...path('/file'), start: 0, length: content.length, etag: '' }))

    const perform = async (operation: Operation, id: string, disk: DiskChain) => {
      if (operation === 'index') return void (await buffer(await agent.readIndex(mountOf(disk))))
      await agent.ensureMount(id, mountOf(disk))
      if (operation === 'list') await agent.listFiles(id, { ...path('/'), recursive: true, limit: 100, offset: 0 })
      if (operation === 'read' && !(await readFile(id)).equals(content)) throw new Error('WRONG BYTES were served')
      if (operation === 'archive') await buffer(await agent.readArchive(id, { ...path('/'), format: 'zip' }))
    }
    /** One in a sandbox other than that of the good mount. */
    const stopOne = (random: Random): string | undefined => {
      const victims = descendantsOf(real.pid()).filter((pid) => {
        try {
          return ![own, good].includes(namespaceOf(pid))
        } catch {
          return false
        }
      })
      if (victims.length === 0) return undefined
      const victim = victims[random(victims.length)]!
      try {
        const program = basename(readlinkSync(`/proc/${victim}/exe`))
        process.kill(victim, 'SIGSTOP')
        return program
      } catch {
        return undefined
      }
    }
    const works = async (disk: DiskChain): Promise<boolean> => {
      for (let failures = 0; ; failures++) {
        const id = randomUUID()
        try {
          await agent.ensureMount(id, mountOf(disk))
          return (await readFile(id)).equals(content)
        } catch (error) {
          if (failures === failuresMax) throw error
        } finally {
          await agent.removeMount(id, 'user')
        }
      }
    }

    return {
      trial: async (random) => {
        const operation = operations[random(operations.length)]!
        const kind = ['ext4', 'ntfs', 'lvm'][random(3)]!
        const delayMs = random(spreadMs)
        const id = randomUUID()
        const violations: string[] = []
        const running = perform(operation, id, disks[kind]!)
        const ended = inTime(running, operation, violations)
        await sleep(delayMs)
        const stopped = stopOne(random)
        const what = `${operation} of ${kind}, ${stopped ?? 'nothing'} stopped after ${delayMs} ms`
        const isOver = await ended
        const isGone = isOver && (await inTime(agent.removeMount(id, 'user'), 'its unmount', violations))
        if (isGone) {
          const why = await works(disks[kind]!).then(
            (isRight) => (isRight ? undefined : 'WRONG BYTES were served'),
            (error: unknown) => String(error),
          )
          if (why !== undefined) violations.push(`no mount worked after that: ${why}`)
          if (!(await readFile(goodMount).catch(() => content.subarray(1))).equals(content))
            violations.push('another mount was harmed')
          violations.push(...(await hostFindings(real)))
        }
        return { fired: stopped !== undefined, what, violations }
      },
      close: real.close,
    }
  },
}
