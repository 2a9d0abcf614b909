/** Ids and names of contract section 1.9. Pure: the same input gives the same name. */

/** Backup files, exports and ids carry at most this much of a VM's name, so that every limit of 1.9 holds. */
const vmPartMax = 40

/** The VM's name with every character outside `[A-Za-z0-9._-]` replaced by `_`, cut to `length` characters. */
export const safeName = (vmName: string, length = vmPartMax) =>
  Array.from(vmName, (character) => (/^[A-Za-z0-9._-]$/.test(character) ? character : '_'))
    .join('')
    .slice(0, length)

/** `YYYYMMDD-HHMMSS` in UTC. */
export const stamp = (at: Date) => at.toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-')

export const unixSeconds = (at: Date) => Math.floor(at.getTime() / 1000)

export const backupId = (vmName: string, at: Date) => `backup-${safeName(vmName)}-${unixSeconds(at)}`
export const contextId = (vmName: string, at: Date) => `ctx-${safeName(vmName, 64 - 20)}-${stamp(at)}`
export const backupContextId = (vmName: string, at: Date) => `ctx-backup-${safeName(vmName, 64 - 27)}-${stamp(at)}`

/** A disk's key at the source: 2000 + index. */
export const firstDiskKey = 2000
export const diskKey = (diskIndex: number) => firstDiskKey + diskIndex

/**
 * Name of the NBD export of one disk, at most 63 characters.
 * @param attempt 1 gives the plain form; higher numbers tell VMs apart whose safe names are equal
 */
export const exportName = (vmName: string, diskIndex: number, attempt = 1) =>
  `${safeName(vmName)}${attempt === 1 ? '' : `.${attempt}`}-disk-${diskKey(diskIndex)}`

/** Name of a disk's backup file without its suffix. `.qcow2`, `.blocks` and `.manifest.json` share it. */
export const diskFileBase = (vmName: string, diskIndex: number, at: Date) =>
  `backup-${safeName(vmName)}-disk${diskIndex}-${stamp(at)}`

/** Where the files of a repository lie, relative to its root; the agent and the API build paths from here alone. */
export const diskFolder = (vmBackupContextId: string, diskIndex: number) => `${vmBackupContextId}/disk-${diskIndex}`

export const chainId = (vmContextId: string, diskIndex: number) => `${vmContextId}-disk${diskIndex}-chain`

/** What may be a folder or file name of ours: no separator, no leading dash or dot. */
export const safeIdPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,190}$/
export const exportNamePattern = /^[A-Za-z0-9._-]{1,63}$/

const gibibyte = 2 ** 30
/** Bytes as `*_gb`: 2^30 bytes, rounded to three decimals. */
export const toGb = (bytes: number) => Math.round((bytes / gibibyte) * 1000) / 1000

/** Names a volume of a machine in all of its restore points. @param number of the volume in its mount @param diskIndex the disk that it lies on */
export const volumeKey = (volume: { kind: string; number: number; name: string; disk_index: number | null }): string =>
  volume.kind === 'partition' || volume.kind === 'whole_disk'
    ? `disk ${volume.disk_index} partition ${volume.number % 256}`
    : volume.name

const wordLengthMax = 64
const ascii = /^[\0-\x7f]*$/
/** Words of a file's name or of what is looked for, in small letters. */
export const wordsOf = (text: string, most: number): string[] => {
  // The same for both; properties of Unicode take ten times as long.
  const pattern = ascii.test(text) ? /[a-z0-9]+/g : /[\p{L}\p{N}]+/gu
  const words = text.toLowerCase().match(pattern) ?? []
  const found: string[] = []
  for (let at = 0; at < words.length && found.length < most; at++) {
    const word = words[at]!.slice(0, wordLengthMax)
    if (!found.includes(word)) found.push(word)
  }
  return found
}
