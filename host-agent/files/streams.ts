/** Alternate data streams of files of NTFS: its driver gives them as extended attributes of the user (ntfs-3g(8), streams_interface=xattr). */
import { runHere } from '../run-tool.ts'

const getfattr = '/usr/bin/getfattr'
const prefix = 'user.'
/** More than any file is listed with. */
const streamsMax = 100

/** getfattr writes bytes that would disturb its lines as octal numbers. */
const unquoted = (text: string) =>
  Buffer.from(
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  ).toString('utf8')

/** @param fd of an open file or folder @returns the names; none where the filesystem knows no streams */
export const streamsOf = async (fd: number): Promise<string[]> => {
  const path = `/proc/${process.pid}/fd/${fd}`
  const { stdout } = await runHere(getfattr, ['--absolute-names', `--match=^${prefix}`, '--', path], {
    okCodes: [0, 1],
  })
  return stdout
    .split('\n')
    .filter((line) => line.startsWith(prefix))
    .slice(0, streamsMax)
    .map((line) => unquoted(Buffer.from(line.slice(prefix.length)).toString('latin1')))
}
