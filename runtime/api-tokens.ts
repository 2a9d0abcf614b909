/** API tokens: `sdh_<id>_<secret>`. The prefix lets scanners of leaked secrets know them; the id finds the row, the secret proves it. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const pattern = /^sdh_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/
const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex')

export const newApiToken = (): { id: string; secretHash: string; token: string } => {
  const id = randomBytes(8).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  return { id, secretHash: hashOf(secret), token: `sdh_${id}_${secret}` }
}

/** @returns undefined when the text is no API token */
export const parseApiToken = (text: string): { id: string; fits: (secretHash: string) => boolean } | undefined => {
  const [, id, secret] = pattern.exec(text) ?? []
  if (id === undefined || secret === undefined) return undefined
  return { id, fits: (secretHash) => timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(secretHash)) }
}
