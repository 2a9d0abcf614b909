/** Hives that lie: whatever is in one, a value is found or it is refused, and soon. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Hive } from '../../host-agent/guest/registry.ts'
import { seeded } from '../support/damage.ts'
import { hex, makeHive } from '../support/registry.ts'

const key = 'ControlSet001\\Control\\ComputerName\\ComputerName'
const hive = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-hive-'))
  const path = join(folder, 'hive')
  const letters = Array.from({ length: 20 }, (_, at) => [`letter ${at}`, hex(Buffer.alloc(24, at))] as const)
  makeHive(path, {
    MountedDevices: Object.fromEntries(letters),
    [key]: { ComputerName: 'string:FILE-01' },
    ...Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`key ${at}`, {}])),
  })
  const bytes = readFileSync(path)
  rmSync(folder, { recursive: true })
  return bytes
})()
const open = (bytes: Buffer) => new Hive(async (start, length) => bytes.subarray(start, start + length))

it('finds what an independent writer wrote', async () => {
  expect(await open(hive).text(key.split('\\'), 'computername')).toBe('FILE-01')
  expect((await open(hive).values(['mounteddevices'])).size).toBe(20)
  expect(await open(hive).value(['MountedDevices'], 'letter 3')).toEqual(Buffer.alloc(24, 3))
  expect((await open(hive).values(['no such key'])).size).toBe(0)
})

it('survives 20 000 damaged ones (seed 20261127)', async () => {
  const random = seeded(20261127)
  let refused = 0
  for (let trial = 0; trial < 20_000; trial++) {
    const bytes = Buffer.from(hive)
    for (let change = random(6); change >= 0; change--) {
      const at = random(bytes.length - 4)
      if (random(2) === 0) bytes[at] = random(256)
      else bytes.writeUInt32LE([0, 0xffffffff, 0x80000000, 0x20, random(2 ** 31)][random(5)]!, at)
    }
    const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
    for (const path of [['MountedDevices'], key.split('\\')])
      await open(cut)
        .values(path)
        .then(
          (found) => expect(found.size).toBeLessThanOrEqual(4096),
          (error: unknown) => {
            if (!(error instanceof RangeError)) throw error
            refused++
          },
        )
  }
  expect(refused).toBeGreaterThan(1_000)
}, 120_000)
