/** The key by which SSH clients know this hub again: made of the hub's own key, so that there is no other file to keep. */
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto'

export type HostKey = {
  /** As OpenSSH writes it. */
  privateKey: string
  /** As OpenSSH shows it: `SHA256:…`. */
  fingerprint: string
}

/** What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7). */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex')
const algorithm = 'ssh-ed25519'
const blockBytes = 8

/** RFC 4251, section 5 */
const number = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const string = (value: Buffer | string) => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([number(bytes.length), bytes])
}

/** @param seed 32 secret bytes */
export const hostKeyOf = (seed: Uint8Array): HostKey => {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' })
  const { x } = createPublicKey(key).export({ format: 'jwk' })
  const publicBytes = Buffer.from(x!, 'base64url')
  const publicBlob = Buffer.concat([string(algorithm), string(publicBytes)])
  // PROTOCOL.key of OpenSSH: not encrypted, so the two numbers that would prove the password are any.
  const secret = [number(0), number(0), publicBlob, string(Buffer.concat([seed, publicBytes])), string('')]
  const length = Buffer.concat(secret).length
  const padding = Buffer.from(
    Array.from({ length: (blockBytes - (length % blockBytes)) % blockBytes }, (_, at) => at + 1),
  )
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...[string('none'), string('none'), string(''), number(1), string(publicBlob)],
    string(Buffer.concat([...secret, padding])),
  ])
  const lines = file.toString('base64').replace(/.{70}(?=.)/g, '$&\n')
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`,
    fingerprint: `SHA256:${createHash('sha256').update(publicBlob).digest('base64').replace(/=+$/, '')}`,
  }
}
