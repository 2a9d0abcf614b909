/** What lies beside a disk's file and makes it a restore point: its manifest and the checksums of its blocks. */
import { chmod, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { DiskFile, SealBody } from '../../contract/agent.ts'
import { syncPath } from '../../durable/write-file.ts'
import { writeDurably } from '../ledger.ts'
import { blockBytes, sha256 } from './blocks.ts'
import { contentDigest, readSelfChecked, selfChecked } from './self-checked.ts'

export type Manifest = {
  format_version: 1
  backup_id: string
  backup_type: 'full' | 'incremental'
  parent_backup_id: string | null
  parent_file: string | null
  /** Identity of the parent: no other file can take its place, however whole it is. */
  parent_digest: string | null
  /** Of a restore point that others were merged into: the digest of the manifest that it was sealed with. It stays that point. */
  origin_digest?: string
  vm_name: string
  vm_context_id: string | null
  vm_backup_context_id: string
  repository_id: string
  source: SealBody['manifest']['source']
  disk_index: number
  disk_count: number
  disk_label: string | null
  file: string
  virtual_size_bytes: number
  file_size_bytes: number
  stored_bytes: number
  bytes_transferred: number | null
  change_id: string | null
  created_at: string
  sealed_at: string
  checksums: {
    algorithm: 'sha256'
    block_bytes: number
    file: string
    digest: string
    /** Of all bytes of the disk's file that are not the guest's: header, tables, gaps. */
    structure_digest: string
  }
}

type Parts = {
  path: string
  file: DiskFile
  body: SealBody
  parentFile: string | null
  virtualSize: number
  fileSize: number
  storedBytes: number
  digests: Buffer
  structureDigest: Buffer
  parentDigest: string | null
}

/** Writes checksums, context and manifest, the manifest last; after this the file is a restore point that survives power loss. @returns the manifest's digest */
export const writeManifest = async ({
  path,
  file,
  body,
  parentFile,
  virtualSize,
  fileSize,
  storedBytes,
  digests,
  structureDigest,
  parentDigest,
}: Parts): Promise<string> => {
  const { manifest: said } = body
  const sealedAt = new Date().toISOString()
  await writeDurably(`${path}.blocks`, digests, 0o444)
  const context = {
    format_version: 1,
    vm_name: said.vm_name,
    vm_context_id: said.vm_context_id,
    vm_backup_context_id: file.vm_backup_context_id,
    source: said.source,
    disk_count: said.disk_count,
    updated_at: sealedAt,
  }
  const manifest: Manifest = {
    format_version: 1,
    backup_id: said.backup_id,
    backup_type: said.backup_type,
    parent_backup_id: said.parent_backup_id,
    parent_file: parentFile,
    parent_digest: parentDigest,
    vm_name: said.vm_name,
    vm_context_id: said.vm_context_id,
    vm_backup_context_id: file.vm_backup_context_id,
    repository_id: file.repository_id,
    source: said.source,
    disk_index: file.disk_index,
    disk_count: said.disk_count,
    disk_label: said.disk_label,
    file: `${file.base}.qcow2`,
    virtual_size_bytes: virtualSize,
    file_size_bytes: fileSize,
    stored_bytes: storedBytes,
    bytes_transferred: body.bytes_transferred,
    change_id: body.change_id,
    created_at: said.created_at,
    sealed_at: sealedAt,
    checksums: {
      algorithm: 'sha256',
      block_bytes: blockBytes,
      file: basename(`${path}.blocks`),
      digest: sha256(digests).toString('hex'),
      structure_digest: structureDigest.toString('hex'),
    },
  }
  await writeDurably(join(dirname(dirname(path)), 'context.json'), selfChecked(context))
  await chmod(`${path}.qcow2`, 0o444)
  await syncPath(`${path}.qcow2`)
  await writeDurably(`${path}.manifest.json`, selfChecked(manifest), 0o444)
  return contentDigest(manifest)
}

/** What names a restore point for ever: the digest of the manifest that it was sealed with, whatever was merged into it since. */
export const identityOf = (manifest: Manifest & { digest: string }): string => manifest.origin_digest ?? manifest.digest

/** @param path of the disk's file, without suffix @throws Error when it is missing, damaged or no manifest of ours */
export const readManifest = async (path: string): Promise<Manifest & { digest: string }> => {
  const manifest = readSelfChecked<Manifest>(await readFile(`${path}.manifest.json`, 'utf8'))
  if (manifest.format_version !== 1) throw new Error(`has the format ${manifest.format_version}`)
  return manifest
}
