/** BitLocker as Windows made it: volumes that cryptsetup is tested with, whose metadata are whole, and of whose contents little is kept but the digest. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectRoot } from '../../runtime/version.ts'
import { sh } from './images.ts'

/** Of the volume's source package. `digest`: sha256 of the decrypted volume, as Linux's dm-crypt gave it to its makers. */
export type WindowsVolume = { name: string; password?: string; recoveryKey: string; keyFile?: string; digest: string }

export const windowsVolumes: WindowsVolume[] = [
  {
    name: 'aes-xts-128',
    password: 'anaconda',
    recoveryKey: '235818-357951-253979-013365-241120-245575-342914-591910',
    digest: '674e3a976927fd62f3fc26df2c695cac75b8d364e3b45393717efa971f16db0f',
  },
  {
    name: 'aes-xts-256',
    password: 'anaconda',
    recoveryKey: '404558-436711-420860-678557-638220-018909-039941-695321',
    digest: '5bb6ff5acbded10be990c6fa208ab479934a08bc2e88740a1aa2642af2f42025',
  },
  {
    name: 'aes-xts-128-4k',
    password: 'anaconda',
    recoveryKey: '486552-140030-675719-163900-264671-413787-580239-152614',
    digest: 'b4c0416ae643537207413ed78d4bcadae697bb86a6262864ac00afda01312277',
  },
  {
    name: 'aes-xts-128-startup-key-win11',
    recoveryKey: '512897-060621-709148-071203-357951-357302-160831-066297',
    keyFile: 'AA80A52B-9B66-47AE-B097-33F536FFBB07.BEK',
    digest: '76539fdf098cb3b9d15e318d34eace9da8645b8087282adac800094c59df6347',
  },
  {
    name: 'aes-xts-128-smart-card',
    recoveryKey: '538329-080597-399190-348700-323345-161062-279807-230978',
    digest: '007de1a342f49a15f97712f634aa1684e1d8c24e220652fc9796b22421413268',
  },
  {
    name: 'aes-cbc-128',
    password: 'anaconda',
    recoveryKey: '042647-302313-590458-071500-554323-116567-412181-516978',
    digest: '04500a8120ba355ed206284e03e26e59b7e1f1832868e1d69bb47023ebd3460f',
  },
  {
    name: 'aes-cbc-256',
    password: 'anaconda',
    recoveryKey: '616319-601744-502117-534017-367994-176748-607299-663201',
    digest: '35809d6db53c7ad8ff36195277b328370ea5df2c1f7003c20e07b64133d8800b',
  },
  {
    name: 'aes-cbc-128-4k',
    password: 'anaconda',
    recoveryKey: '482548-408683-386023-032725-083754-344718-228228-361845',
    digest: '2bf0ee1198cfcc95654636c045f72a91727f7d5b1208db88eafb77ac65b60109',
  },
  {
    name: 'aes-cbc-elephant-128',
    password: 'anaconda',
    recoveryKey: '529573-278784-259347-197835-171457-264044-610280-313269',
    digest: 'b18e4f956295bc0f327e551322261fb9c74ac0d3ce58bf3b806e98474e1619ea',
  },
  {
    name: 'aes-cbc-elephant-256',
    password: 'anaconda',
    recoveryKey: '618871-562507-462814-555324-264660-562727-105171-668195',
    digest: '0af06f010fe21522bdd77f8d2d3cb0ad5fceaf2729295ff0fd50e65adfa0b7b3',
  },
  {
    name: 'togo-aes-xts-128',
    password: 'anaconda',
    recoveryKey: '243067-548680-059818-148852-287771-550088-628265-631653',
    digest: '5954795eb41764b59a10d86c26fd3b43fb6d89f433c8edc1e8fd48067d198591',
  },
  {
    name: 'togo-aes-cbc-128',
    password: 'anaconda',
    recoveryKey: '607552-529496-550902-707531-545787-248358-370216-060401',
    digest: '3fb19a2b9cf89962216cc7b27f7127ea7f241c39b7b340d7431a232f81c36eb1',
  },
]

const cache = fileURLToPath(new URL('node_modules/.cache/sendense-bitlocker/', projectRoot))
const inSource = 'tests/bitlk-images.tar.xz'

/**
 * The source package of Debian's own cryptsetup has them. apt says where its binary package lies; the source lies beside it.
 * @returns a folder with all of them, kept for the next time
 */
export const windowsVolumesFolder = (): string => {
  const folder = join(cache, 'bitlk-images')
  if (existsSync(folder)) return folder
  const uri = /'([^']+)'/.exec(sh('/usr/bin/apt-get', ['download', '--print-uris', 'cryptsetup-bin']))![1]!
  const version = /_(?:\d+%3a)?([^-]+)-/.exec(basename(uri))![1]!
  const source = new URL(`cryptsetup_${version}.orig.tar.gz`, uri).href
  const work = join(cache, `work-${process.pid}`)
  mkdirSync(work, { recursive: true })
  try {
    const archive = join(work, 'source.tar.gz')
    sh('/usr/lib/apt/apt-helper', ['download-file', source, archive])
    sh('/usr/bin/tar', ['-C', work, '-xzf', archive, '--strip-components=1', '--wildcards', `*/${inSource}`])
    sh('/usr/bin/tar', ['-C', work, '-xJSf', join(work, inSource), '--no-same-owner'])
    renameSync(join(work, 'bitlk-images'), folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return folder
}

export const imageOf = (folder: string, name: string) => join(folder, `bitlk-${name}.img`)

const cryptsetup = '/usr/sbin/cryptsetup'
const metadataBytes = 64 * 1024

/**
 * A volume of our own with the metadata that Windows made for another: what it holds is encrypted by OpenSSL, sector by sector.
 * @param plain a filesystem of just the volume's size, 100 MiB, that leaves alone where the metadata lie
 */
export const bitLocked = (image: string, plain: string, folder: string, name: 'aes-xts-128' | 'aes-cbc-256') => {
  const { password } = windowsVolumes.find((volume) => volume.name === name)!
  const volume = readFileSync(imageOf(folder, name))
  const content = readFileSync(plain)
  const key = volumeKeyOf(imageOf(folder, name), password!)
  const metadata = [176, 184, 192].map((at) => Number(volume.readBigUInt64LE(at)))
  const header = { at: Number(volume.readBigUInt64LE(metadata[0]! + 56)), bytes: 16 * 512 }
  const kept = [...metadata.map((at) => [at, metadataBytes] as const), [header.at, header.bytes] as const]
  if (content.length !== volume.length) throw new Error(`a volume of ${volume.length} bytes is needed`)
  for (const [at, bytes] of kept)
    if (content.subarray(at, at + bytes).some((byte) => byte !== 0)) throw new Error(`something lies at ${at}`)
  const result = Buffer.alloc(volume.length)
  const encrypt = (from: number, to: number) => {
    const sector = content.subarray(from, from + 512)
    const vector = Buffer.alloc(16)
    vector.writeBigUInt64LE(BigInt(name === 'aes-xts-128' ? to / 512 : to))
    const cipher =
      name === 'aes-xts-128'
        ? createCipheriv('aes-128-xts', key, vector)
        : createCipheriv('aes-256-cbc', key, createCipheriv('aes-256-ecb', key, null).update(vector))
    cipher.setAutoPadding(false).update(sector).copy(result, to)
  }
  for (let at = header.bytes; at < volume.length; at += 512) encrypt(at, at)
  for (let at = 0; at < header.bytes; at += 512) encrypt(at, header.at + at)
  volume.copy(result, 0, 0, header.bytes)
  for (const at of metadata) volume.copy(result, at, at, at + metadataBytes)
  writeFileSync(image, result)
}

const entry = (type: number, value: number, ...data: Buffer[]): Buffer => {
  const all = Buffer.concat(data)
  const header = Buffer.alloc(8)
  for (const [at, field] of [8 + all.length, type, value, 1].entries()) header.writeUInt16LE(field, at * 2)
  return Buffer.concat([header, all])
}
const encryptedBy = (key: Buffer, text: Buffer): Buffer => {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-ccm', key, nonce, { authTagLength: 16 })
  const encrypted = cipher.update(text)
  cipher.final()
  return Buffer.concat([nonce, cipher.getAuthTag(), encrypted])
}
const withHeader = (method: number, key: Buffer): Buffer => {
  const header = Buffer.alloc(12)
  header.writeUInt16LE(header.length + key.length, 0)
  header.writeUInt16LE(1, 4)
  header.writeUInt16LE(method, 8)
  return Buffer.concat([header, key])
}

/** The metadata of a volume as they are while its protection is suspended: another master key, which lies there in the clear. @param key that its sectors are encrypted with, as it lies in the metadata */
export const suspended = (metadata: Buffer, key: Buffer): Buffer => {
  const result = Buffer.from(metadata)
  const end = 64 + metadata.readUInt32LE(64)
  const [clear, master] = [randomBytes(32), randomBytes(32)]
  const protection = Buffer.alloc(28)
  const own = entry(
    2,
    8,
    protection,
    entry(0, 1, Buffer.from([0, 0x20, 0, 0]), clear),
    entry(0, 5, encryptedBy(clear, withHeader(0x2003, master))),
  )
  own.copy(result, end)
  for (const at of [64, 76]) result.writeUInt32LE(metadata.readUInt32LE(64) + own.length, at)
  for (let at = 112; at < end; at += metadata.readUInt16LE(at))
    if (metadata.readUInt16LE(at + 2) === 3)
      entry(3, 5, encryptedBy(master, withHeader(metadata.readUInt16LE(100), key))).copy(result, at)
  return result
}

/** The key that a volume's sectors are encrypted with, as cryptsetup tells it. */
export const volumeKeyOf = (image: string, password: string): Buffer => {
  const args = ['bitlkDump', '--batch-mode', '--dump-volume-key', '--key-file', '-', image]
  return Buffer.from(sh(cryptsetup, args, password).split('MK dump:')[1]!.replace(/\s/g, ''), 'hex')
}

export const digestOf = (data: Buffer) => createHash('sha256').update(data).digest('hex')
