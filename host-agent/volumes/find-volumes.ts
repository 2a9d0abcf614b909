/**
 * What is on the disks of a machine: partitions, and the volumes within them: software RAID, LUKS, BitLocker, LVM, each upon the other as installers make them. Nothing
 * is activated or written. Runs where the disks are read: in a sandbox, or in the agent.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mapSome } from '../concurrency.ts'
import type { Run } from '../run-tool.ts'
import { openBitLocker } from './layers/bitlocker.ts'
import { type Blocks, diskBlocks, slice } from './layers/blocks.ts'
import { openLuks } from './layers/luks.ts'
import { openVolumeGroups } from './layers/lvm.ts'
import { readPhysicalVolume } from './layers/lvm-label.ts'
import { openRaidArrays, readRaidMember } from './layers/md.ts'
import { type Probe, probe, scanTable } from './partitions.ts'
import { disksMax, numbersEach, openedFrom, type Volume, volumesMax } from './volume.ts'

export type DiskImage = { image: string; sizeBytes: number }
/** `blocks`: what it holds, as long as the finder is open. */
type Found = { volume: Volume; blocks: Blocks }
/** Within others: what it holds, or why that can not be read. */
type Opened = { name: string; sizeBytes: number } & ({ blocks: Blocks } | { reason: string })

type Options = {
  run: Run
  /** Whatever may open an encrypted volume. */
  secrets: readonly Buffer[]
  /** A folder for small files. */
  scratch: string
}

/** By what blkid calls them. */
const encryptions = {
  crypto_LUKS: { kind: 'LUKS', keys: 'password or key file', open: openLuks, mayNeedNone: false },
  BitLocker: {
    kind: 'BitLocker',
    keys: 'password, recovery key or key file',
    open: openBitLocker,
    // While its protection is suspended.
    mayNeedNone: true,
  },
} as const

/**
 * Enough of its beginning and its end for every signature that blkid knows and that a volume within others has: the farthest are ZFS's second label (512 KiB), and the superblock of a
 * software RAID of version 0.90 (within the last 128 KiB). What is more takes a first listing a tenth of a second.
 */
const headBytes = 512 * 1024
const tailBytes = 128 * 1024
/** Disks, or volumes within others. Most of it is starting blkid. */
const lookedAtAtOnce = 4

export class VolumeFinder {
  readonly #options: Options
  readonly #files: FileHandle[] = []
  readonly #found = new Map<number, Found>()
  #images: readonly DiskImage[] = []
  #nextOpened = openedFrom

  constructor(options: Options) {
    this.#options = options
  }

  /** @returns all of them, in the order of their numbers */
  async find(disks: readonly DiskImage[]): Promise<Volume[]> {
    this.#images = disks.slice(0, disksMax)
    await mapSome([...this.#images.entries()], lookedAtAtOnce, async ([disk, { image, sizeBytes }]) => {
      const file = await open(image, 'r')
      this.#files.push(file)
      await this.#tableOf(disk, image, diskBlocks(file, sizeBytes, disk))
    })
    // In the order in which installers lay them upon one another; encryption lies below LVM or upon it.
    await this.#openRaid()
    await this.#openEncrypted()
    await this.#openLvm()
    await this.#openEncrypted()
    return this.#inOrder().map(({ volume }) => volume)
  }

  /** What a volume holds; undefined: it is none, or it can not be read. */
  blocksOf(number: number): Blocks | undefined {
    const found = this.#found.get(number)
    return found?.volume.closed === null ? found.blocks : undefined
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }

  async #tableOf(disk: number, image: string, blocks: Blocks) {
    for (const { number, offsetBytes, ...volume } of await scanTable(this.#options.run, image, blocks.sizeBytes)) {
      if (number >= numbersEach) continue
      const own = disk * numbersEach + number
      const piece = { disk, offsetBytes }
      const isInside = offsetBytes + volume.sizeBytes <= blocks.sizeBytes
      this.#found.set(own, {
        volume: { ...volume, number: own, name: null, piece, within: null, closed: null, isLocked: false },
        // What lies outside is nobody's to read; who mounts says why.
        blocks: isInside ? slice(blocks, offsetBytes, volume.sizeBytes) : slice(blocks, 0, 0),
      })
    }
  }

  async #openRaid() {
    const members = []
    for (const { volume, blocks } of this.#of('linux_raid_member')) {
      const member = await readRaidMember(blocks).catch(() => undefined)
      if (member) {
        members.push(member)
        volume.closed = `a member of the software RAID ${member.name}, which is listed beside it`
      } else volume.closed = 'a member of a software RAID of an unknown kind'
    }
    await this.#addAll('raid', openRaidArrays(members))
  }

  async #openLvm() {
    const physical = []
    for (const { volume, blocks } of this.#of('LVM2_member')) {
      const found = await readPhysicalVolume(blocks).catch(() => undefined)
      if (found) physical.push(found)
      volume.closed = found
        ? 'an LVM physical volume; its logical volumes are listed beside it'
        : 'an LVM physical volume whose label is damaged'
    }
    if (physical.length === 0) return
    await this.#addAll('lv', await openVolumeGroups(physical))
  }

  async #openEncrypted() {
    for (const [filesystem, { kind, keys, open: unlock, mayNeedNone }] of Object.entries(encryptions))
      for (const { volume, blocks } of this.#of(filesystem)) {
        const { secrets, scratch } = this.#options
        try {
          const isWorthATry = secrets.length > 0 || mayNeedNone
          const plain = isWorthATry ? await unlock(blocks, secrets, join(scratch, 'header')) : undefined
          volume.isLocked = plain === undefined
          volume.closed = plain
            ? `encrypted with ${kind}, and opened; what it holds is listed beside it`
            : secrets.length > 0
              ? `encrypted with ${kind}; none of the given passwords and keys opens it`
              : `encrypted with ${kind}; give its ${keys}`
          if (plain)
            await this.#addAll(
              'decrypted',
              [{ name: this.#nameOf(volume), sizeBytes: plain.sizeBytes, blocks: plain }],
              volume.number,
            )
        } catch (error) {
          volume.closed = `encrypted with ${kind}: ${(error as Error).message.slice(0, 200)}`
        }
      }
  }

  /** Those of a kind that nobody has looked into yet. */
  #of(filesystem: string): Found[] {
    return this.#inOrder().filter(
      ({ volume, blocks }) => volume.filesystem === filesystem && volume.closed === null && blocks.sizeBytes > 0,
    )
  }

  #inOrder(): Found[] {
    return [...this.#found.values()].sort((a, b) => a.volume.number - b.volume.number)
  }

  #nameOf({ name, number, piece }: Volume): string {
    const place = name ?? `disk ${piece?.disk ?? 0} partition ${number % numbersEach}`
    return `${place}, decrypted`
  }

  /** @param within number of the volume that holds them */
  async #addAll(kind: Volume['kind'], opened: readonly Opened[], within: number | null = null) {
    const added = opened.slice(0, Math.max(0, volumesMax - this.#found.size))
    const first = this.#nextOpened
    this.#nextOpened += added.length
    await mapSome([...added.entries()], lookedAtAtOnce, ([at, one]) => this.#add(kind, first + at, one, within))
  }

  async #add(kind: Volume['kind'], number: number, { name, sizeBytes, ...opened }: Opened, within: number | null) {
    const blocks = 'blocks' in opened ? opened.blocks : undefined
    const signs = blocks ? await this.#probe(blocks, number).catch(() => ({}) as Probe) : {}
    const filesystem = signs.TYPE ?? null
    this.#found.set(number, {
      volume: {
        number,
        kind,
        name: name.slice(0, 255),
        piece: blocks?.piece ?? null,
        sizeBytes,
        filesystem,
        label: signs.LABEL ?? null,
        uuid: signs.UUID ?? null,
        partUuid: null,
        partLabel: null,
        within,
        role: filesystem === 'swap' ? 'swap' : 'data',
        closed: 'reason' in opened ? opened.reason.slice(0, 300) : null,
        isLocked: false,
      },
      blocks: blocks ?? { sizeBytes: 0, piece: undefined, read: async () => Buffer.alloc(0) },
    })
  }

  async #probe(blocks: Blocks, number: number): Promise<Probe> {
    const { run, scratch } = this.#options
    const { piece, sizeBytes } = blocks
    if (piece) return probe(run, this.#images[piece.disk]!.image, { offsetBytes: piece.offsetBytes, sizeBytes })
    // blkid reads files: one with holes that has what it looks at.
    const file = join(scratch, `probe-${number}`)
    try {
      const tailAt = Math.max(headBytes, sizeBytes - tailBytes)
      const [head, tail] = await Promise.all([
        blocks.read(0, Math.min(headBytes, sizeBytes)),
        tailAt < sizeBytes ? blocks.read(tailAt, sizeBytes - tailAt) : Buffer.alloc(0),
      ])
      const handle = await open(file, 'w')
      try {
        await handle.write(head)
        await handle.write(tail, 0, tail.length, tailAt)
        await handle.truncate(sizeBytes)
      } finally {
        await handle.close()
      }
      return await probe(run, file, { offsetBytes: 0, sizeBytes })
    } finally {
      await rm(file, { force: true })
    }
  }
}
