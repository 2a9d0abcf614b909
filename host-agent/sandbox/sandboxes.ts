/** Makes sandboxes; one always waits, for starting a reader takes longer than all that it is asked for a mount. */
import { randomUUID } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { UserIds } from '../../contract/settings.ts'
import { program, run } from '../exec.ts'
import { Sandbox } from './sandbox.ts'

/** Later than the mount that took the last one and the listing that follows it. */
const spareDelayMs = 300
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
  #spare: Promise<Sandbox> | undefined
  #timer: NodeJS.Timeout | undefined

  /** Removes what an earlier agent left, whose processes have ended, and makes the first. @throws Error that says what is missing */
  static async open(options: Options): Promise<Sandboxes> {
    const sandboxes = new Sandboxes(options)
    await rm(sandboxes.#folder, { recursive: true, force: true })
    await mkdir(sandboxes.#folder, { recursive: true, mode: 0o700 })
    sandboxes.#fuseDevice = await fuseDeviceFor(join(sandboxes.#folder, 'fuse'))
    sandboxes.#prepareSpare()
    await sandboxes.#spare
    return sandboxes
  }

  private constructor(options: Options) {
    this.#options = options
    this.#folder = join(options.stateDir, 'sandboxes')
  }

  async take(): Promise<Sandbox> {
    const taken = this.#spare
    this.#spare = undefined
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#prepareSpare(), spareDelayMs).unref()
    const sandbox = await taken?.catch(() => undefined)
    if (sandbox?.isAlive) return sandbox
    await sandbox?.close()
    return this.#make()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await (await this.#spare?.catch(() => undefined))?.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #make(): Promise<Sandbox> {
    const { users, readerSeconds } = this.#options
    const folder = join(this.#folder, randomUUID())
    return Sandbox.start({ folder, users, readerSeconds, fuseDevice: this.#fuseDevice })
  }

  #prepareSpare() {
    this.#spare = this.#make()
    this.#spare.catch(() => undefined)
  }
}
