/** Makes throw-away machines; one always waits. The first is started, the others go on from its state. */
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../contract/errors.ts'
import { log } from '../log.ts'
import type { ControlGroups } from '../sandbox/control-groups.ts'
import { Spare } from '../spare.ts'
import { Machine } from './machine.ts'
import type { Accelerator } from './qemu.ts'

type Options = {
  stateDir: string
  /** Folder that one is started from; see scripts/reader-machine.mjs. */
  image: string
  readerSeconds: number
  groups: ControlGroups | undefined
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

export class Machines {
  readonly #options: Options
  readonly #folder: string
  readonly #spare = new Spare(() => this.#make())
  #accelerator: Accelerator = 'tcg'
  /** How the last that started is run. */
  ready: Accelerator | null = null
  /** One can be started here. */
  #onReady: () => void = () => undefined
  /** Ends those that are starting. */
  readonly #closing = new AbortController()
  /** Why the first did not start; undefined: it did. */
  #firstFailed: Promise<string | undefined> = Promise.resolve(undefined)

  /** Removes what an earlier agent left, whose processes have ended, and begins to make the first. @throws Error that says what is missing */
  static async open(options: Options): Promise<Machines> {
    for (const name of ['kernel', 'initrd', 'root.img'])
      if (!(await isThere(join(options.image, name))))
        throw new Error('there is nothing to start a throw-away machine from: npm start says why it could not be made')
    const machines = new Machines(options)
    await rm(machines.#folder, { recursive: true, force: true })
    await mkdir(machines.#folder, { recursive: true, mode: 0o700 })
    if (await hasHardware()) machines.#accelerator = 'kvm'
    const began = performance.now()
    const ready = new Promise<undefined>((resolve) => {
      machines.#onReady = () => resolve(undefined)
    })
    const begun = machines.#spare.begin().then(
      ({ accelerator }) => {
        log.info({ accelerator, ms: Math.round(performance.now() - began) }, 'a throw-away machine is ready')
        return undefined
      },
      (error: Error) => {
        if (!machines.#closing.signal.aborted)
          log.warn({ err: error }, 'no throw-away machine can be started on this host')
        return error.message
      },
    )
    machines.#firstFailed = Promise.race([ready, begun])
    return machines
  }

  private constructor(options: Options) {
    this.#options = options
    this.#folder = join(options.stateDir, 'machines')
  }

  /** Why none can be started here; undefined: one was. */
  get missing(): Promise<string | undefined> {
    return this.#firstFailed
  }

  /** Whoever takes one closes it. @throws SERVICE_UNAVAILABLE */
  take(): Promise<Machine> {
    return this.#spare.take().catch((cause: unknown) => {
      throw new HubError('SERVICE_UNAVAILABLE', 'No throw-away machine can be started on this host now', {
        details: cause instanceof Error ? cause.message : String(cause),
        cause,
      })
    })
  }

  makeNext(): void {
    this.#spare.makeNext()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#spare.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #make(): Promise<Machine> {
    try {
      return await this.#startOne()
    } catch (error) {
      if (this.#accelerator === 'tcg' || this.#closing.signal.aborted) throw error
      log.warn({ err: error }, 'KVM is there but does not work; throw-away machines go without')
      this.#accelerator = 'tcg'
      return this.#startOne()
    }
  }

  /** From the state of an earlier one, where that is there. */
  async #startOne(): Promise<Machine> {
    const saved = join(this.#folder, `state-${this.#accelerator}`)
    const state = await open(saved).catch(() => undefined)
    try {
      return await this.#start(state, saved)
    } catch (error) {
      if (!state || this.#closing.signal.aborted) throw error
      log.warn({ err: error }, 'a throw-away machine did not go on from the saved state; it is started, and saved anew')
      await rm(saved, { force: true })
      return this.#start(undefined, saved)
    } finally {
      await state?.close()
    }
  }

  async #start(state: FileHandle | undefined, saveTo: string): Promise<Machine> {
    const { image, readerSeconds, groups } = this.#options
    const name = randomUUID()
    const group = await groups?.make(`machine-${name}`)
    const machine = await Machine.start({
      folder: join(this.#folder, name),
      image,
      accelerator: this.#accelerator,
      readerSeconds,
      signal: this.#closing.signal,
      group,
      state,
      saveTo,
      onReady: this.#onReady,
    })
    this.ready = machine.accelerator
    return machine
  }
}

/**
 * Whether the processor's support for machines may be there to be used. PVM is KVM without it, which some clouds have in their own machines: it runs kernels that are made for it, and takes
 * any other one through instruction by instruction, more slowly than QEMU does.
 */
const hasHardware = async () => (await isThere('/dev/kvm')) && !(await isThere('/sys/module/kvm_pvm'))
