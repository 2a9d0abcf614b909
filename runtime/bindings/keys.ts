/** The hub's secrets: the key that signs tokens and the one that encrypts what must be kept in the database. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { HubError } from '../../contract/errors.ts'
import { newApiToken } from '../api-tokens.ts'
import type { DownloadGrant } from '../function.ts'
import { signDownloadToken, signJobToken, signMountToken, signUserToken, type TokenUser } from '../tokens.ts'

export const keyFileSchema = z.object({
  /** Tells hubs apart: a token of another hub is refused. */
  hubId: z.string().min(1),
  /** 32 random bytes, base64. */
  masterKey: z.string().refine((text) => Buffer.from(text, 'base64').length === 32),
})
export type KeyFile = z.infer<typeof keyFileSchema>
export const newKeyFile = (): KeyFile => ({
  hubId: randomBytes(8).toString('hex'),
  masterKey: randomBytes(32).toString('base64'),
})

export type Keys = {
  hubId: string
  signingKey: Uint8Array
  /** What the key is made of by which SSH clients know this hub, 32 bytes. */
  sshHostSeed: Uint8Array
  /** AES-256-GCM. `place` (table, column) is authenticated, so that a value can't be moved to another place. */
  encrypt: (plain: string, place: string) => string
  /** Throws INTERNAL when the value is not ours or was changed. */
  decrypt: (sealed: string, place: string) => string
  /** The three kinds of token of contract section 1.6. */
  userToken: (user: TokenUser, now: Date) => Promise<{ token: string; expiresAt: Date }>
  jobToken: (job: { jobType: string; jobId: string; vmName: string }, now: Date) => Promise<string>
  downloadToken: (grant: DownloadGrant, now: Date) => Promise<{ token: string; expiresAt: Date }>
  mountToken: (mountId: string, now: Date) => Promise<{ token: string; expiresAt: Date }>
  /** A token for scripts, and what is kept of it: it can not be made again from that. */
  newApiToken: () => { id: string; secretHash: string; token: string }
}

export const openKeys = ({ hubId, masterKey }: KeyFile): Keys => {
  const master = Buffer.from(masterKey, 'base64')
  const derive = (purpose: string) => new Uint8Array(hkdfSync('sha256', master, hubId, purpose, 32))
  const signingKey = derive('token signing')
  const secretKey = derive('secrets at rest')

  const signer = { hubId, signingKey }

  return {
    ...signer,
    sshHostSeed: derive('ssh host key'),
    userToken: (user, now) => signUserToken(signer, user, now),
    jobToken: (job, now) => signJobToken(signer, job, now),
    newApiToken,
    downloadToken: (grant, now) => signDownloadToken(signer, grant, now),
    mountToken: (mountId, now) => signMountToken(signer, mountId, now),
    encrypt: (plain, place) => {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', secretKey, iv).setAAD(Buffer.from(place))
      const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return [
        'enc:v1',
        iv.toString('base64url'),
        sealed.toString('base64url'),
        cipher.getAuthTag().toString('base64url'),
      ].join(':')
    },
    decrypt: (value, place) => {
      try {
        const [prefix, version, iv, sealed, tag] = value.split(':')
        if (prefix !== 'enc' || version !== 'v1' || !iv || sealed === undefined || !tag)
          throw new Error('not an enc:v1 value')
        const decipher = createDecipheriv('aes-256-gcm', secretKey, Buffer.from(iv, 'base64url'))
          .setAAD(Buffer.from(place))
          .setAuthTag(Buffer.from(tag, 'base64url'))
        return Buffer.concat([decipher.update(Buffer.from(sealed, 'base64url')), decipher.final()]).toString('utf8')
      } catch (cause) {
        throw new HubError('INTERNAL', 'A stored secret can not be decrypted', {
          details: 'the key file does not belong to this database',
          cause,
        })
      }
    },
  }
}
