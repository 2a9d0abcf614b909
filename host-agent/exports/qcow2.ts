/**
 * Reads QCOW2 headers and cluster maps ourselves, before and beside QEMU: a header can name any file or address of the host as
 * backing or data file, and QEMU would open it. (https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt)
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { HubError } from '../../contract/errors.ts'

export type Header = {
  version: number
  clusterBits: number
  virtualSize: number
  l1Size: number
  l1Offset: number
  backingFile: string | null
  backingFormat: string | null
}

const headerBytes = 4096
const backingFormatExtension = 0xe2792aca
/** Dirty refcounts (bit 0) are harmless to readers; every other incompatible feature is none that we write. */
const allowedFeatures = 1n
/** 64 TiB with the smallest tables we make; larger ones are refused before memory is taken for them. */
const l1EntriesMax = 1 << 20

const broken = (why: string) =>
  new HubError('CHAIN_BROKEN', 'A file of the chain is not what it should be', { details: why })

/** @throws CHAIN_BROKEN when it is no QCOW2 file of the kind that we write */
export const parseHeader = (data: Buffer): Header => {
  if (data.length < 104 || data.readUInt32BE(0) !== 0x514649fb) throw broken('not a QCOW2 file')
  const version = data.readUInt32BE(4)
  if (version !== 2 && version !== 3) throw broken(`QCOW2 version ${version}`)
  const backingOffset = data.readBigUInt64BE(8)
  const backingSize = data.readUInt32BE(16)
  const clusterBits = data.readUInt32BE(20)
  const virtualSize = data.readBigUInt64BE(24)
  const l1Size = data.readUInt32BE(36)
  const l1Offset = data.readBigUInt64BE(40)
  if (clusterBits < 9 || clusterBits > 21) throw broken('impossible cluster size')
  if (virtualSize > BigInt(Number.MAX_SAFE_INTEGER) || l1Offset > BigInt(Number.MAX_SAFE_INTEGER))
    throw broken('absurd size')
  if (l1Size > l1EntriesMax) throw broken('absurd table size')
  if (data.readUInt32BE(32) !== 0) throw broken('encrypted')
  if (data.readUInt32BE(60) !== 0) throw broken('holds internal snapshots')
  let headerLength = 72
  if (version === 3) {
    const features = data.readBigUInt64BE(72)
    if ((features & ~allowedFeatures) !== 0n) throw broken(`unsupported features ${features.toString(16)}`)
    headerLength = data.readUInt32BE(100)
  }
  let backingFile: string | null = null
  if (backingOffset !== 0n) {
    if (backingOffset > BigInt(data.length) || backingSize > 1023) throw broken('backing file name out of place')
    const at = Number(backingOffset)
    if (at + backingSize > data.length) throw broken('backing file name out of place')
    backingFile = data.toString('utf8', at, at + backingSize)
  }
  return {
    version,
    clusterBits,
    virtualSize: Number(virtualSize),
    l1Size,
    l1Offset: Number(l1Offset),
    backingFile,
    backingFormat: backingFormatOf(data, headerLength),
  }
}

const backingFormatOf = (data: Buffer, headerLength: number): string | null => {
  for (let at = headerLength; at + 8 <= data.length; ) {
    const type = data.readUInt32BE(at)
    const length = data.readUInt32BE(at + 4)
    if (type === 0 || at + 8 + length > data.length) break
    if (type === backingFormatExtension) return data.toString('utf8', at + 8, at + 8 + length)
    at += 8 + Math.ceil(length / 8) * 8
  }
  return null
}

/** Opens nothing but the file itself. @throws CHAIN_BROKEN */
export const readHeader = async (path: string): Promise<Header> => {
  const file = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0)
    return parseHeader(buffer.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}

/**
 * @param backing the file name its header must name, in its own folder; null for a full
 * @throws CHAIN_BROKEN
 */
export const checkHeader = async (path: string, backing: string | null): Promise<Header> => {
  const header = await readHeader(path)
  if (header.backingFile !== backing) throw broken('its backing file is not its parent')
  if (backing !== null && header.backingFormat !== 'qcow2') throw broken('its backing format is not named')
  return header
}

/**
 * A chain as QEMU's own block-device description: every file by absolute path, every format and every backing file said by us,
 * so that nothing a header says is ever followed.
 * @param paths absolute, newest first
 */
export const chainNode = (paths: readonly string[], readOnly: boolean): Record<string, unknown> =>
  nodeOf(paths, (at) => readOnly || at > 0)

/** The same for a merge of the newest file into the one below it. QEMU commits only what it may write, though it leaves the newest file as it is. */
export const mergeNode = (paths: readonly string[]): Record<string, unknown> => nodeOf(paths, (at) => at > 1)

const nodeOf = (paths: readonly string[], isReadOnly: (at: number) => boolean): Record<string, unknown> =>
  paths.reduceRight<Record<string, unknown> | null>(
    (backing, filename, at) => ({
      driver: 'qcow2',
      'read-only': isReadOnly(at),
      file: { driver: 'file', filename, 'read-only': isReadOnly(at) },
      backing,
    }),
    null,
  )!

type Cluster = { kind: 'absent' } | { kind: 'zero' } | { kind: 'data'; offset: number }
const absent: Cluster = { kind: 'absent' }
const zero: Cluster = { kind: 'zero' }
const offsetMask = 0x00fffffffffffe00n
const compressedBit = 1n << 62n

/** One file of a chain, open for reading its clusters. Synchronous: it lives in a worker thread. */
export class Layer {
  readonly header: Header
  readonly clusterBytes: number
  readonly fd: number
  readonly #l1: Buffer
  readonly #fileBytes: number
  #cached: { l1Index: number; table: Buffer } | undefined

  constructor(path: string) {
    this.fd = openSync(path, 'r')
    this.#fileBytes = fstatSync(this.fd).size
    const head = Buffer.alloc(headerBytes)
    readSync(this.fd, head, 0, headerBytes, 0)
    this.header = parseHeader(head)
    this.clusterBytes = 2 ** this.header.clusterBits
    this.#l1 = Buffer.alloc(this.header.l1Size * 8)
    readSync(this.fd, this.#l1, 0, this.#l1.length, this.header.l1Offset)
  }

  /** Where the cluster with this number in the guest's disk lies in this file. */
  cluster(number: number): Cluster {
    const perTable = this.clusterBytes / 8
    const l1Index = Math.floor(number / perTable)
    if (l1Index >= this.header.l1Size) return absent
    const tableOffset = Number(this.#l1.readBigUInt64BE(l1Index * 8) & offsetMask)
    if (tableOffset === 0) return absent
    if (this.#cached?.l1Index !== l1Index) {
      const table = Buffer.alloc(this.clusterBytes)
      if (readSync(this.fd, table, 0, table.length, tableOffset) !== table.length)
        throw broken('a table lies outside the file')
      this.#cached = { l1Index, table }
    }
    const entry = this.#cached.table.readBigUInt64BE((number % perTable) * 8)
    if (entry & compressedBit) throw broken('holds compressed clusters, which are never written here')
    if (entry & 1n) return zero
    const offset = Number(entry & offsetMask)
    if (offset === 0) return absent
    // The last cluster may be cut at the end of the file, its start may not.
    if (offset >= this.#fileBytes) throw broken('a cluster lies outside the file')
    return { kind: 'data', offset }
  }

  /** Clusters of the guest's disk. */
  get #clusterCount() {
    return Math.ceil(this.header.virtualSize / this.clusterBytes)
  }

  /**
   * The ranges of the file that hold no data of the guest: header, tables, what is not in use. With the data they are all of it.
   * @throws CHAIN_BROKEN
   */
  *structure(): Generator<{ offset: number; length: number }> {
    const clusters = Math.ceil(this.#fileBytes / this.clusterBytes)
    const isData = new Uint8Array(Math.ceil(clusters / 8))
    for (let number = 0; number < this.#clusterCount; number++) {
      const cluster = this.cluster(number)
      if (cluster.kind !== 'data') continue
      // What lies behind the end of the disk in its last cluster is no data of the guest's.
      const used = this.header.virtualSize - number * this.clusterBytes
      const end = Math.min(this.#fileBytes, cluster.offset + this.clusterBytes)
      if (used < this.clusterBytes && cluster.offset + used < end)
        yield { offset: cluster.offset + used, length: end - cluster.offset - used }
      if (cluster.offset % this.clusterBytes !== 0) throw broken('a cluster lies off its place')
      const at = cluster.offset / this.clusterBytes
      isData[at >> 3]! |= 1 << (at & 7)
    }
    for (let at = 0; at < clusters; ) {
      const first = at
      while (at < clusters && !(isData[at >> 3]! & (1 << (at & 7)))) at++
      const offset = first * this.clusterBytes
      if (at > first) yield { offset, length: Math.min(this.#fileBytes, at * this.clusterBytes) - offset }
      else at++
    }
  }

  close() {
    closeSync(this.fd)
  }
}
