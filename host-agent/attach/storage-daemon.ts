/** A qemu-storage-daemon that is told what to export over QMP. */
import { type DaemonOptions, program, startDaemon } from '../exec.ts'
import { ofTheDisk, QmpProcess } from './qmp.ts'

/** A block node with the name that QEMU is to know it by. */
export type NamedNode = Record<string, unknown> & { 'node-name': string }

export class StorageDaemon extends QmpProcess {
  #listening: Promise<unknown> | undefined

  /** @param place the command that runs it where it is to run */
  static async start(options: Omit<DaemonOptions, 'isTalkedTo'> = {}, place: string[] = []): Promise<StorageDaemon> {
    const monitor = ['--chardev', 'stdio,id=qmp', '--monitor', 'chardev=qmp']
    const [tool, ...args] = [...place, program.qemuStorageDaemon, ...monitor]
    return new StorageDaemon(await startDaemon(tool!, args, { ...options, isTalkedTo: true }))
  }

  /**
   * Shows a block node as a file.
   * @param node to be added, or the name of one that is there
   * @param file there already
   * @throws CHAIN_BROKEN in QEMU's own words
   */
  show(node: NamedNode | string, file: string, writable: boolean): Promise<void> {
    return this.#export(node, { type: 'fuse', mountpoint: file, writable })
  }

  /**
   * Gives a block node to NBD clients, by its name.
   * @param node to be added, or the name of one that is there
   * @param socket the same for all that this process gives
   * @throws CHAIN_BROKEN in QEMU's own words
   */
  async serve(node: NamedNode | string, socket: string, writable: boolean): Promise<void> {
    this.#listening ??= this.execute('nbd-server-start', { addr: { type: 'unix', data: { path: socket } } })
    await this.#listening
    await this.#export(node, { type: 'nbd', name: nodeName(node), writable })
  }

  /** Ends it so that all that it took is in its files. */
  async stop(graceMs: number): Promise<void> {
    this.execute('quit').catch(() => undefined)
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs)
    await this.process.ended
    clearTimeout(timer)
  }

  #export(
    node: NamedNode | string,
    how: { type: string; writable: boolean; [option: string]: unknown },
  ): Promise<void> {
    const name = nodeName(node)
    // Both at once: QEMU takes them in order, and the second fails when the first did.
    return ofTheDisk(() => [
      ...(typeof node === 'string' ? [] : [this.execute('blockdev-add', node)]),
      this.execute('block-export-add', { id: `${how.type}-${name}`, 'node-name': name, ...how }),
    ])
  }
}

export const nodeName = (node: NamedNode | string): string => (typeof node === 'string' ? node : node['node-name'])
