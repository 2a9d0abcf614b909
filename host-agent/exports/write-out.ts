/**
 * Has the kernel write images to the disk while they are still being filled. Left alone it gathers gigabytes first, then slows the
 * writers down and makes the last flush long; and an error of the disk would show only then.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Between two rounds. Measured: 200 ms gives a full backup 5 to 10 %, a second nothing. */
const pauseMs = 200

type File = { handle: FileHandle; onError: (error: Error) => void }

/** One file after the other: images in one repository share its disk, and a thread that waits for it serves nobody else. */
export class WriteOut {
  readonly #files = new Map<string, File>()
  #isRunning = false

  /** @param onError called once, when the disk refused data that the writer believes to be written */
  async add(path: string, onError: (error: Error) => void): Promise<void> {
    this.#files.set(path, { handle: await open(path, 'r'), onError })
    if (!this.#isRunning) void this.#run()
  }

  /** When this returns no write-out of the file is under way: whoever flushes it next sees every error from then on. */
  async remove(path: string): Promise<void> {
    const file = this.#files.get(path)
    this.#files.delete(path)
    await file?.handle.close()
  }

  async #run() {
    this.#isRunning = true
    while (this.#files.size > 0) {
      await sleep(pauseMs)
      for (const [path, file] of [...this.#files]) {
        if (this.#files.get(path) !== file) continue
        try {
          await file.handle.datasync()
        } catch (error) {
          await this.remove(path)
          file.onError(error as Error)
        }
      }
    }
    this.#isRunning = false
  }
}
