/** LUKS 1 and 2: cryptsetup finds the volume's key by a secret, without any right and without the kernel; reading with it is ours (decrypt.ts). */
import { rm, truncate, writeFile } from 'node:fs/promises'
import * as z from 'zod/mini'
import { runHere } from '../../run-tool.ts'
import { type Blocks, LayoutError, slice } from './blocks.ts'
import { decrypted } from './decrypt.ts'
import { cryptsetup, keyFrom } from './volume-key.ts'

/** Its makers reserve 16 MiB; those who ask for more slots, twice that. */
const headBytesMax = 32 * 1024 * 1024

type Layout = { version: 1 | 2; cipher: string; offsetBytes: number; sectorBytes: number; firstVector: number }

const decimal = z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number))
const metadata2 = z.object({
  segments: z.record(
    z.string(),
    z.object({
      type: z.string(),
      offset: decimal,
      size: z.union([z.literal('dynamic'), decimal]),
      iv_tweak: z.optional(decimal),
      encryption: z.optional(z.string()),
      sector_size: z.optional(z.int()),
    }),
  ),
})

/** Version 1, by its header (LUKS On-Disk Format Specification 1.2). */
const layout1 = (head: Buffer): Layout => {
  const text = (at: number) => head.toString('latin1', at, at + 32).replace(/\0.*$/s, '')
  return {
    version: 1,
    cipher: `${text(8)}-${text(40)}`,
    offsetBytes: head.readUInt32BE(104) * 512,
    sectorBytes: 512,
    firstVector: 0,
  }
}

/** Version 2, whose JSON cryptsetup checks before it shows it. */
const layout2 = async (header: string): Promise<Layout> => {
  const { stdout } = await runHere(cryptsetup, ['luksDump', '--dump-json-metadata', '--', header])
  const parsed = metadata2.safeParse(JSON.parse(stdout))
  const segments = parsed.success ? Object.values(parsed.data.segments) : []
  const [only] = segments
  if (!only || segments.length > 1) throw new LayoutError('it was being encrypted anew when it was backed up')
  if (only.type !== 'crypt' || only.encryption === undefined)
    throw new LayoutError(`its part of type ${only.type} is not supported`)
  return {
    version: 2,
    cipher: only.encryption,
    offsetBytes: only.offset,
    sectorBytes: only.sector_size ?? 512,
    firstVector: only.iv_tweak ?? 0,
  }
}

/** @returns undefined when no secret opens it @param scratch a name for a file of its header, removed afterwards @throws LayoutError */
export const openLuks = async (
  blocks: Blocks,
  secrets: readonly Buffer[],
  scratch: string,
): Promise<Blocks | undefined> => {
  const first = await blocks.read(0, Math.min(4096, blocks.sizeBytes))
  const isFirst = first.readUInt16BE(6) === 1
  try {
    const headBytes = Math.min(headBytesMax, blocks.sizeBytes)
    await writeFile(scratch, await blocks.read(0, headBytes))
    // As large as the volume, which cryptsetup compares with what the header says.
    await truncate(scratch, blocks.sizeBytes)
    const layout = isFirst ? layout1(first) : await layout2(scratch)
    const { offsetBytes, ...encryption } = layout
    const data = slice(blocks, offsetBytes, blocks.sizeBytes - offsetBytes)
    for (const secret of secrets) {
      const key = await keyFrom('luksDump', scratch, secret)
      if (key) return decrypted(data, { ...encryption, key })
    }
    return undefined
  } finally {
    await rm(scratch, { force: true })
  }
}
