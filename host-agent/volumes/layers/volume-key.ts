/** The key that a volume is encrypted with, found by cryptsetup. */
import { runHere } from '../../run-tool.ts'
import { LayoutError } from './blocks.ts'

export const cryptsetup = '/usr/sbin/cryptsetup'
/** A secret may have to be stretched for as long as its maker waited, on a faster machine. */
const unlockTimeoutMs = 120_000
/** Exit codes for a secret that opens nothing; 1 is for what is no such volume, too, but whoever asks for BitLocker's key has seen it shown. */
const opensNothing = { luksDump: [2], bitlkDump: [1, 2] }

/**
 * @param header a file that has what the volume says of itself
 * @returns undefined when the secret opens nothing
 */
export const keyFrom = async (
  action: keyof typeof opensNothing,
  header: string,
  secret: Buffer,
): Promise<Buffer | undefined> => {
  // On its standard input, never among its arguments: those everybody can read.
  const args = [action, '--batch-mode', '--dump-volume-key', '--key-file', '-', '--', header]
  const { exitCode, stdout } = await runHere(cryptsetup, args, {
    input: secret,
    timeoutMs: unlockTimeoutMs,
    okCodes: [0, ...opensNothing[action]],
  })
  if (exitCode !== 0) return undefined
  const hex = /^MK dump:([\s0-9a-f]+)/m.exec(stdout)?.[1]?.replace(/\s/g, '')
  if (!hex) throw new LayoutError('its key could not be read')
  return Buffer.from(hex, 'hex')
}
