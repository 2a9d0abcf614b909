/** Passwords as scrypt in PHC form: `$scrypt$ln=15,r=8,p=1$salt$hash`. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)
/** OWASP's scrypt setting of 32 MiB; about 0.1 s a try. */
const cost = { ln: 15, r: 8, p: 3 }
const keyBytes = 32

const hashWith = (password: string, salt: Buffer, { ln, r, p }: typeof cost) =>
  derive(password, salt, keyBytes, { N: 2 ** ln, r, p, maxmem: 256 * 2 ** ln * r })

export const hashPassword = async (password: string): Promise<string> => {
  const salt = randomBytes(16)
  const hash = await hashWith(password, salt, cost)
  return `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** 144 random bits, as text that can be typed. */
export const newPassword = () => randomBytes(18).toString('base64url')

/** Spent for a name that does not exist, so that it takes the time of a wrong password. */
const decoy = `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${Buffer.alloc(16).toString('base64')}$${Buffer.alloc(keyBytes).toString('base64')}`

/** @param stored undefined when there is no such user: the answer is false, at the same price */
export const verifyPassword = async (password: string, stored: string | undefined): Promise<boolean> => {
  const match = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(stored ?? decoy)
  if (!match) return false
  const [, ln, r, p, salt, hash] = match as unknown as [string, string, string, string, string, string]
  const expected = Buffer.from(hash, 'base64')
  const actual = await hashWith(password, Buffer.from(salt, 'base64'), { ln: Number(ln), r: Number(r), p: Number(p) })
  return stored !== undefined && timingSafeEqual(actual, expected)
}
