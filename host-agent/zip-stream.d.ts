/** zip-stream brings no types of its own; these are the parts that we use. */
declare module 'zip-stream' {
  import { type Readable, Transform } from 'node:stream'
  import type { ZlibOptions } from 'node:zlib'

  export default class ZipStream extends Transform {
    constructor(options?: { zlib?: ZlibOptions; forceZip64?: boolean })
    entry(
      source: Buffer | Readable | string,
      data: { name: string; type?: 'file' | 'directory' | 'symlink'; mode?: number; date?: Date; linkname?: string },
      done: (error: Error | null) => void,
    ): this
    finish(): void
  }
}
