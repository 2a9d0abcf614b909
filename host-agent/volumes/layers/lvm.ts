/**
 * Logical volumes, put together by their own metadata. Nothing is activated: no name or id of a guest meets one of this host or of another mount, and a second
 * restore point of the same machine can not be taken for the first.
 */
import * as z from 'zod/mini'
import { type Blocks, joined, LayoutError, mapped, type Raid5Layout, raid5, slice, striped } from './blocks.ts'
import { isInSync } from './dm-raid.ts'
import type { PhysicalVolume } from './lvm-label.ts'
import { parseLvmText, type Section } from './lvm-text.ts'
import { openThinPool, type ThinPool } from './thin.ts'

const sectorBytes = 512
/** More than any machine has; a hostile text could name millions. */
const volumesMax = 256
const segmentsMax = 100_000

// The small kind of Zod: each mount starts a process that loads this.
const wholeTo = (max: number, min = 0) => z.int().check(z.minimum(min), z.maximum(max))
const whole = wholeTo(Number.MAX_SAFE_INTEGER)
const count = wholeTo(Number.MAX_SAFE_INTEGER, 1)
const uuid = z.pipe(
  z.string(),
  z.transform((text) => text.replaceAll('-', '')),
)
const physical = z.object({ id: uuid, pe_start: whole, pe_count: whole })
const segment = z.looseObject({ start_extent: whole, extent_count: whole, type: z.string() })
type Segment = z.infer<typeof segment>
const logical = z.looseObject({ id: uuid, status: z.array(z.string()), segment_count: wholeTo(segmentsMax) })
type Logical = z.infer<typeof logical>
const volumeGroup = z.object({
  id: uuid,
  seqno: whole,
  extent_size: wholeTo(2 ** 31, 1),
  physical_volumes: z.record(z.string(), physical),
  logical_volumes: z._default(z.record(z.string(), logical), {}),
})
type VolumeGroup = z.infer<typeof volumeGroup>

const pairs = z.array(z.union([z.string(), z.number()]))
const stripes = z.object({ stripe_count: count, stripe_size: z._default(whole, 0), stripes: pairs })
const mirrors = z.object({ mirror_count: count, mirrors: pairs })
const raids = z.object({ device_count: count, stripe_size: z._default(whole, 0), raids: z.array(z.string()) })
const raid0 = z.object({ stripe_count: count, stripe_size: whole, raid0_lvs: z.array(z.string()) })
const thinVolume = z.object({ thin_pool: z.string(), device_id: whole })
const thinPool = z.object({ metadata: z.string(), pool: z.string() })

/** `blocks`, or why there are none. */
export type LogicalVolume = { name: string; sizeBytes: number } & ({ blocks: Blocks } | { reason: string })

/** A text that is none says nothing; the other volumes of the machine open all the same. */
const sectionsOf = (text: string): Section => {
  try {
    return parseLvmText(text)
  } catch {
    return {}
  }
}

/** The newest description of each volume group that the physical volumes carry. */
const groupsOf = (volumes: readonly PhysicalVolume[]): Map<string, VolumeGroup & { name: string }> => {
  const groups = new Map<string, VolumeGroup & { name: string }>()
  for (const { metadata } of volumes)
    for (const text of metadata)
      for (const [name, section] of Object.entries(sectionsOf(text))) {
        const parsed = volumeGroup.safeParse(section)
        if (!parsed.success) continue
        const known = groups.get(parsed.data.id)
        if (!known || known.seqno < parsed.data.seqno) groups.set(parsed.data.id, { ...parsed.data, name })
      }
  return groups
}

/** @returns the visible volumes of all groups, in the order of their names */
export const openVolumeGroups = async (volumes: readonly PhysicalVolume[]): Promise<LogicalVolume[]> => {
  const found: LogicalVolume[] = []
  for (const group of groupsOf(volumes).values()) {
    const opener = new GroupOpener(group, volumes)
    for (const [name, { status }] of Object.entries(group.logical_volumes)) {
      if (!status.includes('VISIBLE') || found.length >= volumesMax) continue
      const named = { name: `${group.name}/${name}`, sizeBytes: opener.sizeOf(name) }
      found.push(
        await opener.open(name).then(
          (blocks) => ({ ...named, blocks }),
          (error: Error) => ({ ...named, reason: error.message }),
        ),
      )
    }
  }
  return found.toSorted((a, b) => a.name.localeCompare(b.name, 'en'))
}

const problem = (text: string): never => {
  throw new LayoutError(text)
}
const shaped = <S extends z.ZodMiniType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value)
  return parsed.success ? parsed.data : problem("LVM's metadata of it can not be understood")
}

/** As LVM calls them; `_n` and its like begin the data anew in each row as `-asymmetric` does not. */
const raid5Types: Record<string, Raid5Layout> = {
  raid5: 'left-symmetric',
  raid5_ls: 'left-symmetric',
  raid5_la: 'left-asymmetric',
  raid5_rs: 'right-symmetric',
  raid5_ra: 'right-asymmetric',
}

class GroupOpener {
  readonly #group: VolumeGroup
  readonly #physical: ReadonlyMap<string, Blocks>
  readonly #opening = new Set<string>()
  readonly #pools = new Map<string, Promise<ThinPool>>()

  constructor(group: VolumeGroup, volumes: readonly PhysicalVolume[]) {
    this.#group = group
    this.#physical = new Map(volumes.map(({ uuid: id, blocks }) => [id, blocks]))
  }

  get #extentBytes() {
    return this.#group.extent_size * sectorBytes
  }

  /** 0 where its segments can not be understood; opening it says why. */
  sizeOf(name: string): number {
    try {
      const segments = segmentsOf(this.#group.logical_volumes[name]!)
      const bytes = segments.reduce((total, { extent_count }) => total + extent_count, 0) * this.#extentBytes
      return Number.isSafeInteger(bytes) ? bytes : 0
    } catch {
      return 0
    }
  }

  /** @throws LayoutError in words for an admin */
  async open(name: string): Promise<Blocks> {
    const volume = Object.hasOwn(this.#group.logical_volumes, name)
      ? this.#group.logical_volumes[name]!
      : problem(`its part ${name} is not described`)
    if (this.#opening.has(name)) problem('it is made of itself')
    this.#opening.add(name)
    try {
      const parts: Blocks[] = []
      let extents = 0
      for (const part of segmentsOf(volume)) {
        if (part.start_extent !== extents) problem('its segments do not follow one another')
        extents += part.extent_count
        parts.push(await this.#segment(part))
      }
      if (parts.length === 0) problem('it has no segments')
      return joined(parts)
    } finally {
      this.#opening.delete(name)
    }
  }

  async #segment(part: Segment): Promise<Blocks> {
    const sizeBytes = part.extent_count * this.#extentBytes
    const exactly = (blocks: Blocks) => slice(blocks, 0, sizeBytes)
    const { type } = part
    if (type === 'striped' || type === 'linear') {
      const { stripe_count, stripe_size, stripes: areas } = shaped(stripes, part)
      const each = sizeBytes / stripe_count
      const members = await this.#areas(areas, stripe_count, each)
      return stripe_count === 1 ? members[0]! : exactly(striped(members, stripe_size * sectorBytes))
    }
    if (type === 'mirror') {
      const { mirrors: areas } = shaped(mirrors, part)
      return (await this.#areas(areas, 1, sizeBytes))[0]!
    }
    if (type === 'raid1') return exactly(await this.#firstInSync(shaped(raids, part).raids))
    if (type === 'raid0') {
      const { raid0_lvs, stripe_size } = shaped(raid0, part)
      return exactly(striped(await Promise.all(raid0_lvs.map((name) => this.open(name))), stripe_size * sectorBytes))
    }
    const layout = raid5Types[type]
    if (layout !== undefined) {
      const { raids: names, stripe_size } = shaped(raids, part)
      return exactly(raid5(await this.#inSync(names), stripe_size * sectorBytes, layout))
    }
    if (type === 'thin') return this.#thin(part, sizeBytes)
    return problem(`${type} volumes are not supported`)
  }

  /** @param areas names of physical or logical volumes, each with the extent at which its part begins there */
  async #areas(areas: readonly (string | number)[], count: number, sizeBytes: number): Promise<Blocks[]> {
    if (!Number.isSafeInteger(sizeBytes)) problem('its stripes are not of one size')
    const found: Blocks[] = []
    for (let at = 0; at < count; at++) {
      const [name, extent] = [areas[at * 2], areas[at * 2 + 1]]
      if (typeof name !== 'string' || typeof extent !== 'number') return problem('its parts are not described')
      const start = extent * this.#extentBytes
      const physicalVolume = Object.hasOwn(this.#group.physical_volumes, name)
        ? this.#group.physical_volumes[name]
        : undefined
      if (!physicalVolume) found.push(slice(await this.open(name), start, sizeBytes))
      else {
        const blocks = this.#physical.get(physicalVolume.id)
        if (!blocks) return problem('a part of it lies on a disk that is not opened here; open all disks together')
        found.push(slice(blocks, physicalVolume.pe_start * sectorBytes + start, sizeBytes))
      }
    }
    return found
  }

  /** @param names of metadata and image volumes, by turns @returns the images; undefined where one is missing or was left behind */
  async #inSync(names: readonly string[]): Promise<(Blocks | undefined)[]> {
    const images: (Blocks | undefined)[] = []
    const metadata: (Blocks | undefined)[] = []
    const orMissing = (name: string) => this.open(name).catch(() => undefined)
    for (let at = 0; at + 1 < names.length; at += 2) {
      metadata.push(await orMissing(names[at]!))
      images.push(await orMissing(names[at + 1]!))
    }
    const inSync = await isInSync(metadata)
    return images.map((image, at) => (inSync[at] ? image : undefined))
  }

  async #firstInSync(names: readonly string[]): Promise<Blocks> {
    const image = (await this.#inSync(names)).find((blocks) => blocks !== undefined)
    return image ?? problem('none of its mirrored parts is whole here')
  }

  async #thin(part: Segment, sizeBytes: number): Promise<Blocks> {
    const { thin_pool, device_id } = shaped(thinVolume, part)
    const opening = this.#pools.get(thin_pool) ?? this.#openPool(thin_pool)
    this.#pools.set(thin_pool, opening)
    const pool = await opening
    return mapped(sizeBytes, (at) => pool.placeOf(device_id, at, sizeBytes))
  }

  async #openPool(name: string): Promise<ThinPool> {
    const volume = this.#group.logical_volumes[name]
    const part = volume && segmentsOf(volume)[0]
    if (part?.type !== 'thin-pool') return problem('its pool is not described')
    const { metadata, pool } = shaped(thinPool, part)
    return openThinPool(await this.open(metadata), await this.open(pool))
  }
}

/** In their order. @throws LayoutError */
const segmentsOf = (volume: Logical): Segment[] =>
  Array.from({ length: volume.segment_count }, (_, at) => shaped(segment, volume[`segment${at + 1}`])).sort(
    (a, b) => a.start_extent - b.start_extent,
  )
