/** What a Windows guest calls itself and its volumes: out of its registry, where setup and the mount manager wrote it. */
import type { GuestSystem } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import type { Volume } from '../volumes/volume.ts'
import { contentOf } from './content.ts'
import { Hive } from './registry.ts'

type Readable = { volume: Volume; reader: VolumeReader }
export type WindowsGuest = {
  system: GuestSystem
  /** By their letters: `C:`. */
  drives: Map<string, Readable>
}

/** Windows does not care for the case of a name, the drivers that read its volumes do: as setup of 2000 to 11 has written them. */
const configFolders = ['/Windows/System32/config', '/WINDOWS/system32/config', '/WINNT/system32/config']
/** Written anew at each start. */
const bootFiles = ['/Windows/bootstat.dat', '/WINDOWS/bootstat.dat']
const letterPattern = /^\\dosdevices\\([a-z]:)$/
/** Windows 11 calls itself 10 in its registry; from this build on it is 11. */
const firstBuildOf11 = 22_000

const hiveAt = async (reader: VolumeReader, name: string): Promise<Hive | undefined> => {
  for (const folder of configFolders)
    for (const path of [name, name.toLowerCase()].map((file) => Buffer.from(`${folder}/${file}`))) {
      const info = await reader.info(path).catch(unlessTrouble)
      if (info?.type !== 'file' || info.special) continue
      return new Hive((start, length) =>
        contentOf(reader, path, start, Math.max(0, Math.min(length, info.size - start))),
      )
    }
  return undefined
}
/** What is not there, or can not be followed, says nothing. */
const unlessTrouble = (error: unknown): undefined => {
  if (!(error instanceof HubError)) throw error
}
/** A hive that is damaged says nothing, either. */
const orNothing = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (!(error instanceof RangeError)) return unlessTrouble(error)
    return undefined
  })

/** GUIDs have their first three parts the other way round in memory. */
const guidOf = (bytes: Buffer): string => {
  const hex = (from: number, to: number, isTurned: boolean) => {
    const part = Buffer.from(bytes.subarray(from, to))
    return (isTurned ? part.reverse() : part).toString('hex')
  }
  return [hex(0, 4, true), hex(4, 6, true), hex(6, 8, true), hex(8, 10, false), hex(10, 16, false)].join('-')
}

const gptMark = 'DMIO:ID:'
/** @param what the mount manager knows a volume by: its partition's GUID, or its disk's signature and where it begins there */
const volumeOf = (what: Buffer, readable: readonly Readable[]): Readable | undefined => {
  if (what.length === gptMark.length + 16 && what.toString('latin1', 0, gptMark.length) === gptMark) {
    const guid = guidOf(what.subarray(gptMark.length))
    return readable.find(({ volume }) => volume.partUuid?.toLowerCase() === guid)
  }
  if (what.length !== 12) return undefined
  const [signature, offset] = [what.readUInt32LE(0).toString(16).padStart(8, '0'), what.readBigUInt64LE(4)]
  return readable.find(
    ({ volume: { partUuid, piece } }) =>
      partUuid?.startsWith(`${signature}-`) && piece !== null && BigInt(piece.offsetBytes) === offset,
  )
}

const describe = async (reader: VolumeReader, system: Hive, software: Hive | undefined): Promise<GuestSystem> => {
  const current = (await orNothing(system.number(['Select'], 'Current'))) ?? 1
  const control = [`ControlSet${String(current).padStart(3, '0')}`, 'Control']
  const version = ['Microsoft', 'Windows NT', 'CurrentVersion']
  const told = async (name: string) => software && orNothing(software.text(version, name))
  const [product, build, release] = [
    await told('ProductName'),
    await told('CurrentBuildNumber'),
    await told('DisplayVersion'),
  ]
  const name = Number(build) >= firstBuildOf11 ? product?.replace(/^Windows 10\b/, 'Windows 11') : product
  let bootedAt: string | null = null
  for (const path of bootFiles)
    bootedAt ??= (await reader.info(Buffer.from(path)).catch(unlessTrouble))?.modified_time ?? null
  return {
    os: name ? [name, release].filter(Boolean).join(' ').slice(0, 255) : null,
    hostname:
      (await orNothing(system.text([...control, 'ComputerName', 'ComputerName'], 'ComputerName')))?.slice(0, 255) ||
      null,
    booted_at: bootedAt,
  }
}

/** @returns undefined when none of them holds a Windows that has given letters */
export const findWindows = async (readable: readonly Readable[]): Promise<WindowsGuest | undefined> => {
  for (const { reader } of readable) {
    const system = await hiveAt(reader, 'SYSTEM')
    const letters = system && (await orNothing(system.values(['MountedDevices'])))
    if (!letters) continue
    const drives = new Map<string, Readable>()
    for (const [name, what] of letters) {
      const letter = letterPattern.exec(name)?.[1]?.toUpperCase()
      const found = letter && volumeOf(what, readable)
      if (letter && found) drives.set(letter, found)
    }
    if (drives.size > 0) return { system: await describe(reader, system, await hiveAt(reader, 'SOFTWARE')), drives }
  }
  return undefined
}
