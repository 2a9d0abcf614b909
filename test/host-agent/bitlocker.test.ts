/** BitLocker: volumes that Windows made, read as Linux's dm-crypt reads them, and those that can not be read say why. */

import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBitLocker } from '../../host-agent/volumes/layers/bitlocker.ts'
import { keyOfSuspended } from '../../host-agent/volumes/layers/bitlocker-clear-key.ts'
import { type Blocks, diskBlocks } from '../../host-agent/volumes/layers/blocks.ts'
import {
  bitLocked,
  digestOf,
  imageOf,
  suspended,
  volumeKeyOf,
  windowsVolumes,
  windowsVolumesFolder,
} from '../support/bitlocker.ts'
import { filesystemImage } from '../support/images.ts'
import { openRealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'

let folder: string
let images: string
beforeAll(() => {
  images = windowsVolumesFolder()
  folder = mkdtempSync(join(tmpdir(), 'sendense-bitlocker-'))
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const withBlocks = async <T>(image: string, work: (blocks: Blocks) => Promise<T>): Promise<T> => {
  const file = await open(image, 'r')
  try {
    return await work(diskBlocks(file, (await file.stat()).size, 0))
  } finally {
    await file.close()
  }
}
const opened = (blocks: Blocks, ...secrets: (string | Buffer)[]) =>
  openBitLocker(blocks, secrets.map(Buffer.from), join(folder, 'header'))

describe.each(windowsVolumes)('$name', ({ name, password, recoveryKey, keyFile, digest }) => {
  it('reads as dm-crypt read it, by whatever Windows lets it be opened with', { timeout: 120_000 }, async () => {
    await withBlocks(imageOf(images, name), async (blocks) => {
      const others = [password, keyFile && readFileSync(join(images, keyFile))].filter((one) => one !== undefined)
      for (const secret of others) expect(await opened(blocks, secret)).toBeDefined()
      const plain = (await opened(blocks, recoveryKey))!
      expect(plain.sizeBytes).toBe(blocks.sizeBytes)
      expect(digestOf(await plain.read(0, plain.sizeBytes))).toBe(digest)
      // In pieces that begin and end anywhere, too.
      const whole = await plain.read(0, 1 << 20)
      for (const [at, length] of [
        [0, 1],
        [8191, 2],
        [12_345, 70_001],
      ] as const)
        expect((await plain.read(at, length)).equals(whole.subarray(at, at + length))).toBe(true)
    })
  })
})

// Each try takes a second of SHA-256: of one volume.
it('what does not open it says so, and is no hindrance to what does', { timeout: 120_000 }, async () => {
  const { name, recoveryKey } = windowsVolumes[0]!
  const wrong = ['wrong', '000000-000000-000000-000000-000000-000000-000000-000000']
  await withBlocks(imageOf(images, name), async (blocks) => {
    expect(await opened(blocks, ...wrong)).toBeUndefined()
    expect(await opened(blocks, ...wrong, recoveryKey)).toBeDefined()
  })
})

/** In all of its copies. */
const suspend = (volume: Buffer, key: Buffer) => {
  for (const at of [176, 184, 192]) {
    const place = Number(volume.readBigUInt64LE(at))
    suspended(volume.subarray(place, place + 65_536), key).copy(volume, place)
  }
}

describe('while its protection is suspended', () => {
  it('its files are there without a password', { timeout: 120_000 }, async () => {
    const real = await openRealAgent()
    const [plain, image] = [join(real.folder, 'plain.raw'), join(real.folder, 'image.raw')]
    filesystemImage(plain, 'ntfs', 100 << 20, (root) => writeFileSync(join(root, 'file'), 'of the guest'))
    bitLocked(image, plain, images, 'aes-xts-128')
    const volume = readFileSync(image)
    suspend(volume, volumeKeyOf(image, windowsVolumes[0]!.password!))
    writeFileSync(image, volume)
    const { mount_id, partitions } = await real.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(real, image)))
    expect(partitions).toMatchObject([
      { mounted: false, locked: false },
      { kind: 'decrypted', mounted: true },
    ])
    const where = { path_b64: Buffer.from('/file').toString('base64'), start: 0, length: 12, etag: '' }
    expect(await text(await real.agent.readFile(mount_id, where))).toBe('of the guest')
    await real.close()
  })
  it("the key that lies there is found, as cryptsetup finds it by Windows' password", () => {
    // Windows had not encrypted all of this one, which is another matter.
    const image = imageOf(images, 'clearkey-aes-cbc-128')
    const volume = readFileSync(image)
    const metadata = volume.subarray(Number(volume.readBigUInt64LE(176)))
    expect(keyOfSuspended(metadata)).toEqual(volumeKeyOf(image, 'anaconda'))
    // Damaged, it is the right one or none.
    const key = volumeKeyOf(image, 'anaconda')
    let without = 0
    for (let at = 64; at < 1024; at++) {
      const data = Buffer.from(metadata.subarray(0, 65_536))
      data.writeUInt8(data.readUInt8(at) ^ 0xff, at)
      const found = keyOfSuspended(data)
      if (found) expect(found).toEqual(key)
      else without++
    }
    expect(without).toBeGreaterThan(100)
  })
  it.each(['aes-xts-128', 'aes-cbc-256', 'aes-cbc-elephant-128', 'aes-cbc-elephant-256'])(
    '%s is read without any secret',
    { timeout: 120_000 },
    async (name) => {
      const { password } = windowsVolumes.find((one) => one.name === name)!
      const volume = readFileSync(imageOf(images, name))
      const told = volumeKeyOf(imageOf(images, name), password!)
      // Both keys of the diffuser lie in the halves of 64 bytes.
      const key = name === 'aes-cbc-elephant-128' ? Buffer.alloc(64) : told
      if (key !== told) for (const half of [0, 1]) told.copy(key, half * 32, half * 16, half * 16 + 16)
      suspend(volume, key)
      const image = join(folder, 'suspended.raw')
      writeFileSync(image, volume)
      // That all of it is read right is seen above.
      const begin = (blocks: Blocks, ...secrets: string[]) =>
        opened(blocks, ...secrets).then((plain) => plain!.read(0, 8 << 20))
      const known = await withBlocks(imageOf(images, name), (blocks) => begin(blocks, password!))
      expect((await withBlocks(image, (blocks) => begin(blocks))).equals(known)).toBe(true)
    },
  )
})

describe('what can not be read says why:', () => {
  const changed = (change: (volume: Buffer, metadata: number) => void): string => {
    const volume = readFileSync(imageOf(images, 'aes-xts-128'))
    change(volume, Number(volume.readBigUInt64LE(176)))
    const path = join(folder, 'changed.raw')
    writeFileSync(path, volume)
    return path
  }
  const why = (image: string) => withBlocks(image, (blocks) => opened(blocks, 'anaconda'))

  it.each(['aes-xts-128-eow', 'clearkey-aes-cbc-128'])(
    'a volume in the middle of its encryption (%s)',
    async (name) => {
      await expect(why(imageOf(images, name))).rejects.toThrow('Windows had not encrypted all of it yet')
    },
  )
  it('one that is being decrypted', async () => {
    const image = changed((volume, metadata) => volume.writeUInt16LE(2, metadata + 14))
    await expect(why(image)).rejects.toThrow('Windows was encrypting or decrypting it')
  })
  it('one whose metadata are said to lie outside, or are damaged', async () => {
    await expect(why(changed((volume) => volume.writeBigUInt64LE(2n ** 63n, 184)))).rejects.toThrow('lie outside of it')
    await expect(why(changed((volume) => volume.writeBigUInt64LE(1n, 176)))).rejects.toThrow('lie outside of it')
    await expect(why(changed((volume, metadata) => volume.fill(0, metadata, metadata + 64)))).rejects.toThrow(
      'are damaged',
    )
    await expect(
      why(changed((volume, metadata) => volume.fill(0xff, metadata + 64, metadata + 4096))),
    ).rejects.toThrow()
  })
  it('one that is locked, at a mount', { timeout: 60_000 }, async () => {
    const real = await openRealAgent()
    const disk = await sealedDisk(real, imageOf(images, 'aes-xts-256'))
    const asked = (...secrets: string[]) =>
      real.agent.ensureMount(randomUUID(), {
        ...mountOf(disk),
        secrets: secrets.map((secret) => Buffer.from(secret).toString('base64')),
      })
    await expect(asked()).rejects.toMatchObject({
      code: 'NO_MOUNTABLE_FILESYSTEM',
      details: expect.stringContaining('encrypted with BitLocker; give its password, recovery key or key file'),
      extra: { partitions: [expect.objectContaining({ locked: true })] },
    })
    await expect(asked('wrong')).rejects.toMatchObject({
      details: expect.stringContaining('encrypted with BitLocker; none of the given passwords and keys opens it'),
    })
    await real.close()
  })
})
