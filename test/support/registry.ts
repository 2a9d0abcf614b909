/** Makes hives of a Windows registry: an empty one by hand, what is in it by hivexsh, which knows nothing of our reader. */
import { writeFileSync } from 'node:fs'
import { sh } from './images.ts'

const [headerBytes, binBytes] = [4096, 4096]
const none = 0xffffffff

/** A hive with a root key and nothing else ("Windows registry file format specification" by Maxim Suhanov). */
const emptyHive = (): Buffer => {
  const hive = Buffer.alloc(headerBytes + binBytes)
  const [rootAt, securityAt] = [0x20, 0x80]
  hive.write('regf', 0, 'latin1')
  for (const [at, value] of [
    [4, 1],
    [8, 1],
    [0x14, 1],
    [0x18, 3],
    [0x20, 1],
    [0x24, rootAt],
    [0x28, binBytes],
    [0x2c, 1],
  ] as const)
    hive.writeUInt32LE(value, at)
  let checksum = 0
  for (let at = 0; at < 0x1fc; at += 4) checksum ^= hive.readUInt32LE(at)
  hive.writeUInt32LE(checksum >>> 0, 0x1fc)
  const bin = hive.subarray(headerBytes)
  bin.write('hbin', 0, 'latin1')
  bin.writeUInt32LE(binBytes, 8)
  // The root: a key without parent, in Latin-1.
  bin.writeInt32LE(-(securityAt - rootAt), rootAt)
  const root = bin.subarray(rootAt + 4)
  root.write('nk', 0, 'latin1')
  root.writeUInt16LE(0x2c, 2)
  for (const at of [0x10, 0x1c, 0x20, 0x28, 0x30]) root.writeUInt32LE(none, at)
  root.writeUInt32LE(securityAt, 0x2c)
  root.writeUInt16LE(4, 0x48)
  root.write('root', 0x4c, 'latin1')
  // Who may change it: nobody is named.
  const descriptorBytes = 20
  bin.writeInt32LE(-0x30, securityAt)
  const security = bin.subarray(securityAt + 4)
  security.write('sk', 0, 'latin1')
  for (const at of [4, 8]) security.writeUInt32LE(securityAt, at)
  security.writeUInt32LE(1, 0x0c)
  security.writeUInt32LE(descriptorBytes, 0x10)
  security.writeUInt16LE(1, 0x14)
  security.writeUInt16LE(0x8000, 0x16)
  const freeAt = securityAt + 0x30
  bin.writeInt32LE(binBytes - freeAt, freeAt)
  return hive
}

/** @param keys values by name, as hivexsh(1) takes them (`dword:1`, `hex:3:01,02`, `string:…`), by paths of keys without the first backslash */
export const makeHive = (path: string, keys: Record<string, Record<string, string>>) => {
  writeFileSync(path, emptyHive())
  const made = new Set<string>()
  const lines: string[] = []
  for (const [key, values] of Object.entries(keys)) {
    lines.push('cd \\')
    const parts = key.split('\\')
    for (const [at, part] of parts.entries()) {
      const whole = parts.slice(0, at + 1).join('\\')
      if (!made.has(whole)) lines.push(`add ${part}`)
      made.add(whole)
      lines.push(`cd ${part}`)
    }
    lines.push(`setval ${Object.keys(values).length}`)
    for (const [name, value] of Object.entries(values)) lines.push(name, value)
  }
  sh('/usr/bin/hivexsh', ['-w', path], `${[...lines, 'commit', 'quit'].join('\n')}\n`)
}

export const hex = (bytes: Buffer) => `hex:3:${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(',')}`
