/** Makes sandboxes; one always waits, for starting a reader takes longer than all that it is asked for a mount. */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../contract/errors.ts'
import type { UserIds } from '../../contract/settings.ts'
import { program, run } from '../exec.ts'
import { log } from '../log.ts'
import { Spare } from '../spare.ts'
import { ControlGroups } from './control-groups.ts'
import { Sandbox } from './sandbox.ts'

const everybodyMayWrite = 0o002

type Options = { stateDir: string; users: UserIds; readerSeconds: number }

/** udev lets everybody open the FUSE device; where there is no udev, we need one of our own. @param path of that one */
const fuseDeviceFor = async (path: string): Promise<string> => {
  const device = '/dev/fuse'
  if (((await stat(device)).mode & everybodyMayWrite) !== 0) return device
  // Its numbers are the kernel's (Documentation/admin-guide/devices.txt).
  await run(program.mknod, ['--mode=666', path, 'c', '10', '229'])
  return path
}

export class Sandboxes {
  readonly #options: Options
  readonly #folder: string
  #fuseDevice = ''
  #groups: ControlGroups | undefined
  readonly #spare = new Spare(() => this.#make())
  /** By the names of their folders. */
  readonly #made = new Map<string, Promise<Sandbox>>()

  /** Removes what an earlier agent left, whose processes have ended, and makes the first. @throws Error that says what is missing */
  static async open(options: Options): Promise<Sandboxes> {
    const sandboxes = new Sandboxes(options)
    await rm(sandboxes.#folder, { recursive: true, force: true })
    await mkdir(sandboxes.#folder, { recursive: true, mode: 0o700 })
    sandboxes.#fuseDevice = await fuseDeviceFor(join(sandboxes.#folder, 'fuse'))
    sandboxes.#groups = await ControlGroups.open(options.stateDir).catch((error: unknown) => {
      log.warn({ err: error }, 'a sandbox as a whole has no limit of memory on this machine, only its processes have')
      return undefined
    })
    await sandboxes.#spare.begin().catch(async (error: unknown) => {
      await sandboxes.#groups?.close()
      throw error
    })
    return sandboxes
  }

  private constructor(options: Options) {
    this.#options = options
    this.#folder = join(options.stateDir, 'sandboxes')
  }

  /** Those of this agent; undefined: the host has none. */
  get groups(): ControlGroups | undefined {
    return this.#groups
  }

  /** Whoever takes one closes it, and lets the next be made. @throws SERVICE_UNAVAILABLE */
  async take(): Promise<Sandbox> {
    return this.#spare.take().catch((cause: unknown) => {
      throw new HubError('SERVICE_UNAVAILABLE', 'No sandbox can be made on this machine now', {
        details: cause instanceof Error ? cause.message : String(cause),
        cause,
      })
    })
  }

  makeNext(): void {
    this.#spare.makeNext()
  }

  async close(): Promise<void> {
    await this.#spare.close()
    await this.#groups?.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #make(): Promise<Sandbox> {
    await this.#tidy()
    const { users, readerSeconds } = this.#options
    const name = randomUUID()
    const folder = join(this.#folder, name)
    const group = await this.#groups?.make(name)
    const made = Sandbox.start({ folder, users, readerSeconds, fuseDevice: this.#fuseDevice, group })
    this.#made.set(name, made)
    return made
  }

  /** What a machine in trouble did not let us remove, and sandboxes that ended while nobody had them. */
  async #tidy() {
    for (const entry of await readdir(this.#folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue
      const sandbox = await this.#made.get(entry.name)?.catch(() => undefined)
      if (sandbox?.isAlive) continue
      await sandbox?.close()
      await rm(join(this.#folder, entry.name), { recursive: true, force: true })
      this.#made.delete(entry.name)
    }
  }
}
