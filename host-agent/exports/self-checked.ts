/** JSON files that carry a digest of themselves, so that a changed bit in what describes a backup is found like one in its data. */
import { sha256 } from './blocks.ts'

/** The digest of what such a file says, in hex. */
export const contentDigest = (content: object): string =>
  sha256(Buffer.from(JSON.stringify(content, null, 2))).toString('hex')

/** @returns the file's text */
export const selfChecked = (content: object): string =>
  `${JSON.stringify({ ...content, digest: contentDigest(content) }, null, 2)}\n`

/** @throws Error when the text is not, byte for byte, what selfChecked had made */
export const readSelfChecked = <Content extends object>(text: string): Content & { digest: string } => {
  const read = JSON.parse(text) as Content & { digest: string }
  const { digest: _, ...content } = read
  if (selfChecked(content) !== text) throw new Error('does not match its own digest')
  return read
}
