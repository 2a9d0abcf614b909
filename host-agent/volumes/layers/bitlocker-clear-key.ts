/**
 * BitLocker whose protection is suspended: whoever installs updates, or has not yet signed in for the first time, has Windows put the key that opens the volume beside it,
 * as it is. cryptsetup knows such keys and does not use them.
 * (https://github.com/libyal/libbde/blob/main/documentation/BitLocker%20Drive%20Encryption%20(BDE)%20format.asciidoc)
 */
import { createDecipheriv } from 'node:crypto'

/** Where the second header is, and the entries behind it. */
const [headerAt, entriesAt] = [64, 112]
const entryHeaderBytes = 8
const entryType = { volumeKey: 3 } as const
const valueType = { key: 1, encryptedKey: 5, masterKey: 8 } as const
/** Of the entry of a master key: how it is protected, and the entries in it. */
const [protectionAt, masterEntriesAt] = [26, 28]
const unprotected = 0
/** Before a key: what it is a key for; decrypted ones have a header of an entry before that. */
const [methodBytes, decryptedHeaderBytes] = [4, 12]
const [nonceBytes, tagBytes] = [12, 16]
/** AES-128 with the diffuser, whose two keys lie in the halves of 64 bytes. */
const withDiffuser128 = 0x8000

/** Of AES-CBC, AES-XTS, and with the diffuser, in bytes. */
const keyLengths = new Set([16, 32, 64])

type Entry = { type: number; value: number; data: Buffer }
const entriesIn = (data: Buffer): Entry[] => {
  const entries: Entry[] = []
  for (let at = 0; at + entryHeaderBytes <= data.length; ) {
    const size = data.readUInt16LE(at)
    if (size < entryHeaderBytes || at + size > data.length) break
    const [type, value] = [data.readUInt16LE(at + 2), data.readUInt16LE(at + 4)]
    entries.push({ type, value, data: data.subarray(at + entryHeaderBytes, at + size) })
    at += size
  }
  return entries
}

/** @throws Error for what another key has encrypted */
const decryptedKey = (key: Buffer, data: Buffer): Buffer => {
  const behindNonce = nonceBytes + tagBytes
  const cipher = createDecipheriv('aes-256-ccm', key, data.subarray(0, nonceBytes), { authTagLength: tagBytes })
  cipher.setAuthTag(data.subarray(nonceBytes, behindNonce))
  const plain = cipher.update(data.subarray(behindNonce))
  cipher.final()
  return plain.subarray(decryptedHeaderBytes)
}

/**
 * @param metadata one of the volume's copies
 * @returns the key that its sectors are encrypted with, as cryptsetup gives it; undefined when it is protected, or damaged
 */
export const keyOfSuspended = (metadata: Buffer): Buffer | undefined => {
  const entries = entriesIn(metadata.subarray(entriesAt, headerAt + metadata.readUInt32LE(headerAt)))
  const encrypted = entries.find(({ type, value }) => type === entryType.volumeKey && value === valueType.encryptedKey)
  if (!encrypted) return undefined
  for (const { value, data } of entries) {
    if (value !== valueType.masterKey || data.length < masterEntriesAt) continue
    if (data.readUInt16LE(protectionAt) !== unprotected) continue
    const within = entriesIn(data.subarray(masterEntriesAt))
    const [clear, master] = [valueType.key, valueType.encryptedKey].map((kind) =>
      within.find((entry) => entry.value === kind),
    )
    if (!clear || !master) continue
    try {
      const masterKey = decryptedKey(clear.data.subarray(methodBytes), master.data)
      const key = decryptedKey(masterKey, encrypted.data)
      const isSplit = metadata.readUInt16LE(headerAt + 36) === withDiffuser128
      const whole = isSplit ? Buffer.concat([key.subarray(0, 16), key.subarray(32, 48)]) : key
      if (keyLengths.has(whole.length)) return whole
    } catch {
      // Not what it says it is.
    }
  }
  return undefined
}
