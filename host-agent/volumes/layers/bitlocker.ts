/**
 * BitLocker: cryptsetup finds the volume's key by a password, a recovery key or a key file, without any right and without the kernel; one that lies there is found, and reading
 * with it done, by ourselves.
 * (https://github.com/libyal/libbde/blob/main/documentation/BitLocker%20Drive%20Encryption%20(BDE)%20format.asciidoc)
 */
import { type FileHandle, open, rm, truncate, writeFile } from 'node:fs/promises'
import { runHere } from '../../run-tool.ts'
import { keyOfSuspended } from './bitlocker-clear-key.ts'
import { type Blocks, LayoutError, mapped } from './blocks.ts'
import { decrypted } from './decrypt.ts'
import { cryptsetup, keyFrom } from './volume-key.ts'

/** What a boot sector says: where the three copies of the metadata lie. */
const bootBytes = 4096
const signature = '-FVE-FS-'
/** Sticks begin as FAT does, so that older systems show something. */
const sticksSignature = 'MSWIN4.1'
const placesAt = { [signature]: 160, [sticksSignature]: 424 }
/** 4967d63b-2e29-4ad8-8399-f6a339e3d001, as it lies there: what is not encrypted yet is said by the state. */
const wholeVolume = '3bd66749292ed84a8399f6a339e3d001'
const metadataBytes = 64 * 1024
/** The volume is encrypted, and is to be. */
const encryptedState = 4

const metadataPlaces = (boot: Buffer, sizeBytes: number): number[] => {
  const at = placesAt[boot.toString('latin1', 3, 11) as keyof typeof placesAt]
  if (at === undefined) throw new LayoutError('a kind of BitLocker that is not supported')
  if (boot.toString('hex', at, at + 16) !== wholeVolume)
    throw new LayoutError('Windows had not encrypted all of it yet when it was backed up; let it end that')
  const places = [16, 24, 32].map((field) => Number(boot.readBigUInt64LE(at + field)))
  if (places.some((place) => place % 512 !== 0 || place + metadataBytes > sizeBytes))
    throw new LayoutError('its metadata lie outside of it')
  return places
}

/** Windows encrypts and decrypts in the background; in between only Windows knows how far it is. */
const checkState = (metadata: Buffer) => {
  const states = [metadata.readUInt16LE(12), metadata.readUInt16LE(14)]
  if (metadata.toString('latin1', 0, 8) !== signature) throw new LayoutError('its metadata are damaged')
  if (states.some((state) => state !== encryptedState))
    throw new LayoutError('Windows was encrypting or decrypting it when it was backed up; let it end that')
}

/** A file with holes that has what cryptsetup looks at, as large as the volume. */
const writeMetadata = async (path: string, blocks: Blocks): Promise<{ places: number[]; first: Buffer }> => {
  const boot = await blocks.read(0, Math.min(bootBytes, blocks.sizeBytes))
  const places = metadataPlaces(boot, blocks.sizeBytes)
  await writeFile(path, boot)
  await truncate(path, blocks.sizeBytes)
  let first: Buffer = Buffer.alloc(0)
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r+')
    for (const [at, place] of places.entries()) {
      const metadata = await blocks.read(place, metadataBytes)
      if (at === 0) {
        checkState(metadata)
        first = metadata
      }
      await file.write(metadata, 0, metadata.length, place)
    }
  } finally {
    await file?.close()
  }
  return { places, first }
}

type Layout = { cipher: string; sectorBytes: number; header: { at: number; bytes: number } }

/** As cryptsetup shows it, which checks it first. */
const readLayout = async (path: string): Promise<Layout> => {
  const { stdout } = await runHere(cryptsetup, ['bitlkDump', '--', path])
  const field = (pattern: RegExp): string => {
    const found = pattern.exec(stdout)?.[1]
    if (found === undefined) throw new LayoutError('its metadata could not be read')
    return found
  }
  return {
    cipher: `${field(/^Cipher name:\s+(\S+)/m)}-${field(/^Cipher mode:\s+(\S+)/m)}`,
    sectorBytes: Number(field(/^Sector size:\s+(\d+) \[bytes\]/m)),
    header: {
      at: Number(field(/: Volume header\n\s+Offset:\s+(\d+) \[bytes\]/m)),
      bytes: Number(field(/: Volume header\n\s+Offset:.*\n\s+Size:\s+(\d+) \[bytes\]/m)),
    },
  }
}

/**
 * The filesystem within: its first sectors lie elsewhere, for the boot sector is BitLocker's; where they and the metadata lie, it has zeros.
 * @param plain each sector of the volume, decrypted where it is
 */
const filesystemOf = (plain: Blocks, metadata: readonly number[], { header }: Layout): Blocks => {
  if (header.at + header.bytes > plain.sizeBytes) throw new LayoutError('its first sectors lie outside of it')
  const zeros = [
    ...metadata.map((at) => ({ at, end: at + metadataBytes })),
    { at: header.at, end: header.at + header.bytes },
  ]
  return mapped(plain.sizeBytes, (at) => {
    if (at < header.bytes) return { blocks: plain, at: header.at + at, length: header.bytes - at }
    const inside = zeros.find((zero) => at >= zero.at && at < zero.end)
    if (inside) return { blocks: null, at: 0, length: inside.end - at }
    const next = Math.min(plain.sizeBytes, ...zeros.map((zero) => zero.at).filter((begin) => begin > at))
    return { blocks: plain, at, length: next - at }
  })
}

const keyFromOneOf = async (secrets: readonly Buffer[], scratch: string): Promise<Buffer | undefined> => {
  for (const secret of secrets) {
    const key = await keyFrom('bitlkDump', scratch, secret)
    if (key) return key
  }
  return undefined
}

/** @returns undefined when no secret opens it; one whose protection is suspended needs none @param scratch a name for a file of its metadata, removed afterwards @throws LayoutError */
export const openBitLocker = async (
  blocks: Blocks,
  secrets: readonly Buffer[],
  scratch: string,
): Promise<Blocks | undefined> => {
  try {
    const { places, first } = await writeMetadata(scratch, blocks)
    const layout = await readLayout(scratch)
    const key = keyOfSuspended(first) ?? (await keyFromOneOf(secrets, scratch))
    if (!key) return undefined
    const { cipher, sectorBytes } = layout
    const plain = decrypted(blocks, { cipher, key, sectorBytes, firstVector: 0, vectorBytes: sectorBytes })
    return filesystemOf(plain, places, layout)
  } finally {
    await rm(scratch, { force: true })
  }
}
