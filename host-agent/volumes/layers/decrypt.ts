/** What dm-crypt does when it reads: sector by sector, each with an initial vector of its own (linux/drivers/md/dm-crypt.c). */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import type { Blocks } from './blocks.ts'
import { LayoutError } from './blocks.ts'

/** Initial vectors of LUKS count in these, however large the sectors are. */
const ivSectorBytes = 512
const blockBytes = 16

/** Decrypts whole sectors. @param first number of the first, counted as its vectors count */
type Decrypt = (data: Buffer, first: number) => Buffer
/** `vectorBytes`: what initial vectors count in. */
type Sectors = { sectorBytes: number; vectorBytes: number }

/** A buffer that 32 bits can be read from at once. */
const wordsOf = (data: Buffer) => new Uint32Array(data.buffer, data.byteOffset, data.length / 4)
const aligned = (bytes: number) => Buffer.from(new ArrayBuffer(bytes))

const ecb = (key: Buffer, data: Buffer, make: typeof createCipheriv | typeof createDecipheriv): Buffer => {
  const cipher = make(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false)
  return cipher.update(data)
}

/**
 * AES-XTS (IEEE 1619) of many sectors with two calls of the library: it takes longer to begin one than to decrypt a sector.
 * @param key both halves
 */
const xts = (key: Buffer, { sectorBytes, vectorBytes }: Sectors): Decrypt => {
  const [dataKey, tweakKey] = [key.subarray(0, key.length / 2), key.subarray(key.length / 2)]
  const blocksEach = sectorBytes / blockBytes
  return (data, first) => {
    const count = data.length / sectorBytes
    const vectors = Buffer.alloc(count * blockBytes)
    for (let at = 0; at < count; at++)
      vectors.writeBigUInt64LE(BigInt(first + (at * sectorBytes) / vectorBytes), at * blockBytes)
    const begins = wordsOf(Buffer.from(new Uint8Array(ecb(tweakKey, vectors, createCipheriv)).buffer))
    const tweaks = new Uint32Array(data.length / 4)
    const mixed = aligned(data.length)
    data.copy(mixed)
    const words = wordsOf(mixed)
    for (let sector = 0, word = 0; sector < count; sector++) {
      let [t0, t1, t2, t3] = [0, 1, 2, 3].map((at) => begins[sector * 4 + at]!) as [number, number, number, number]
      for (let block = 0; block < blocksEach; block++, word += 4) {
        tweaks[word] = t0
        tweaks[word + 1] = t1
        tweaks[word + 2] = t2
        tweaks[word + 3] = t3
        words[word]! ^= t0
        words[word + 1]! ^= t1
        words[word + 2]! ^= t2
        words[word + 3]! ^= t3
        // Times x in GF(2^128), whose polynomial is 0x87.
        const carry = t3 >>> 31
        t3 = (t3 << 1) | (t2 >>> 31)
        t2 = (t2 << 1) | (t1 >>> 31)
        t1 = (t1 << 1) | (t0 >>> 31)
        t0 = (t0 << 1) ^ (carry * 0x87)
      }
    }
    const plain = aligned(data.length)
    ecb(dataKey, mixed, createDecipheriv).copy(plain)
    const out = wordsOf(plain)
    for (let word = 0; word < out.length; word++) out[word]! ^= tweaks[word]!
    return plain
  }
}

const cbc = (key: Buffer, { sectorBytes, vectorBytes }: Sectors, vectorOf: (number: number) => Buffer): Decrypt => {
  const name = `aes-${key.length * 8}-cbc`
  return (data, first) =>
    Buffer.concat(
      Array.from({ length: data.length / sectorBytes }, (_, at) =>
        createDecipheriv(name, key, vectorOf(first + (at * sectorBytes) / vectorBytes))
          .setAutoPadding(false)
          .update(data.subarray(at * sectorBytes, (at + 1) * sectorBytes)),
      ),
    )
}
const plainVector = (number: number): Buffer => {
  const vector = Buffer.alloc(blockBytes)
  vector.writeBigUInt64LE(BigInt(number))
  return vector
}
/** BitLocker's vectors: where a sector begins, in bytes, encrypted with the key itself. */
const placeVector = (key: Buffer, place: number): Buffer => ecb(key, plainVector(place), createCipheriv)

const rotated = (word: number, bits: number) => (bits === 0 ? word : (word << bits) | (word >>> (32 - bits)))
/**
 * The two diffusers that BitLocker of Windows Vista and 7 lays below the cipher, backwards
 * (N. Ferguson, AES-CBC + Elephant diffuser: A Disk Encryption Algorithm for Windows Vista, 2006).
 */
const undiffuse = (words: Uint32Array): void => {
  // A power of two, as sectors are: the remainder is a mask.
  const [count, mask] = [words.length, words.length - 1]
  const rounds = (cycles: number, step: number, rotations: readonly number[]) => {
    for (let round = 0; round < cycles * count; round++) {
      const at = round & mask
      words[at]! += words[(at + step * 2) & mask]! ^ rotated(words[(at + step * 5) & mask]!, rotations[at & 3]!)
    }
  }
  rounds(3, 1, [0, 10, 0, 25])
  rounds(5, -1, [9, 0, 13, 0])
}
/** AES-CBC whose sectors were diffused before. @param key of the cipher, and one of as many bytes for the diffuser */
const elephant = (key: Buffer, sectors: Sectors): Decrypt => {
  const [cipherKey, sectorKey] = [key.subarray(0, key.length / 2), key.subarray(key.length / 2)]
  const { sectorBytes, vectorBytes } = sectors
  const decrypt = cbc(cipherKey, sectors, (number) => placeVector(cipherKey, number * vectorBytes))
  return (data, first) => {
    const plain = aligned(data.length)
    decrypt(data, first).copy(plain)
    for (let at = 0; at < plain.length; at += sectorBytes) {
      const sector = plain.subarray(at, at + sectorBytes)
      undiffuse(wordsOf(sector))
      const place = plainVector(first * vectorBytes + at)
      const begin = ecb(sectorKey, place, createCipheriv)
      place[blockBytes - 1] = 0x80
      const mask = Buffer.concat([begin, ecb(sectorKey, place, createCipheriv)])
      for (let byte = 0; byte < sectorBytes; byte++) sector[byte]! ^= mask[byte % mask.length]!
    }
    return plain
  }
}

/** @param cipher as cryptsetup names it: `aes-xts-plain64` */
const decryptFor = (cipher: string, key: Buffer, sectors: Sectors): Decrypt => {
  switch (cipher) {
    case 'aes-xts-plain64':
    case 'aes-xts-plain':
      return xts(key, sectors)
    case 'aes-cbc-plain64':
    case 'aes-cbc-plain':
      return cbc(key, sectors, plainVector)
    case 'aes-cbc-essiv:sha256': {
      const vectorKey = createHash('sha256').update(key).digest()
      return cbc(key, sectors, (number) => ecb(vectorKey, plainVector(number), createCipheriv))
    }
    case 'aes-cbc-eboiv':
      return cbc(key, sectors, (number) => placeVector(key, number * sectors.vectorBytes))
    case 'aes-cbc-elephant':
      return elephant(key, sectors)
    default:
      throw new LayoutError(`encrypted with ${cipher}, which is not supported`)
  }
}

type Encryption = { cipher: string; key: Buffer; sectorBytes: number; firstVector: number; vectorBytes?: number }

/** @throws LayoutError when the cipher is not known */
export const decrypted = (
  blocks: Blocks,
  { cipher, key, sectorBytes, firstVector, vectorBytes = ivSectorBytes }: Encryption,
): Blocks => {
  const decrypt = decryptFor(cipher, key, { sectorBytes, vectorBytes })
  const sizeBytes = Math.floor(blocks.sizeBytes / sectorBytes) * sectorBytes
  return {
    sizeBytes,
    piece: undefined,
    read: async (at, length) => {
      const from = Math.floor(at / sectorBytes) * sectorBytes
      const to = Math.ceil((at + length) / sectorBytes) * sectorBytes
      const plain = decrypt(await blocks.read(from, to - from), firstVector + from / vectorBytes)
      return plain.subarray(at - from, at - from + length)
    },
  }
}
