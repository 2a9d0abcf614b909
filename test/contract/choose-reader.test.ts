/** The ladder: who reads which filesystem, on which host, with which settings. */
import { expect, it } from 'vitest'
import { chooseReader, chooseReaders, type Ladder } from '../../host-agent/volumes/choose-reader.ts'

const whole: Ladder = {
  hostMounts: 'auto',
  machineMounts: 'auto',
  noSandbox: undefined,
  noMachine: undefined,
  kernelHas: ['ext4', 'xfs', 'btrfs', 'vfat'],
}
const readerOf = (filesystem: Parameters<typeof chooseReader>[0], more: Partial<Ladder> = {}) => {
  const choice = chooseReader(filesystem, { ...whole, ...more })
  return 'reader' in choice ? choice.reader : choice.none
}

it('lets the kernel of the host read nothing where something safer can', () => {
  const readers = [...chooseReaders(whole)].map(([filesystem, choice]) => [
    filesystem,
    'reader' in choice ? choice.reader : 'none',
  ])
  expect(Object.fromEntries(readers)).toEqual({
    ext2: 'sandbox',
    ext3: 'sandbox',
    ext4: 'sandbox',
    ntfs: 'sandbox',
    xfs: 'machine',
    btrfs: 'machine',
    vfat: 'machine',
    exfat: 'machine',
    iso9660: 'machine',
    udf: 'machine',
  })
})

it('takes the next step where one is missing, as far as the kernel of the host goes', () => {
  expect(readerOf('xfs', { noMachine: 'no QEMU' })).toBe('host')
  expect(readerOf('udf', { noMachine: 'no QEMU' })).toBe('the kernel of this host has no udf')
  expect(readerOf('ext4', { noSandbox: 'no bwrap', noMachine: 'no bwrap' })).toBe('host')
})

it('does what an admin names', () => {
  expect(readerOf('ext4', { hostMounts: ['ext4'] })).toBe('host')
  expect(readerOf('ext4', { machineMounts: ['ext4'] })).toBe('machine')
  // The safer one, where both are named.
  expect(readerOf('xfs', { hostMounts: ['xfs'], machineMounts: ['xfs'] })).toBe('machine')
  expect(readerOf('xfs', { hostMounts: ['ext4'] })).toBe('machine')
  expect(readerOf('xfs', { machineMounts: ['btrfs'] })).toBe('host')
})

it('leaves closed what nobody may read, and says why', () => {
  expect(readerOf('xfs', { hostMounts: [], noMachine: 'it is not installed' })).toBe(
    "only a kernel can read xfs: SENDENSE_HOST_MOUNTS does not let the host's, and it is not installed",
  )
  expect(readerOf('xfs', { machineMounts: ['xfs'], noMachine: 'it is not installed' })).toBe(
    'it is read in a throw-away machine only, and it is not installed',
  )
  expect(readerOf('ntfs', { machineMounts: ['ntfs'] })).toBe(
    'it is read in a throw-away machine only, and that has no ntfs',
  )
  expect(readerOf('ext4', { hostMounts: [], noSandbox: 'no bwrap', noMachine: 'no bwrap' })).toMatch(
    'this host can not make one: no bwrap',
  )
})
