/** Which hub, and as whom: from the environment (SENDENSE_URL, SENDENSE_TOKEN), else as `login` left it in a file of the user's own. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { Failure } from './failure.ts'

export type Session = { url: string; token: string }
export const defaultUrl = 'http://127.0.0.1:8082'

const file = () => join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'sendense', 'session.json')

const stored = async (): Promise<Partial<Session>> => {
  try {
    return JSON.parse(await readFile(file(), 'utf8')) as Partial<Session>
  } catch {
    return {}
  }
}

/** @throws Failure when nobody is logged in */
export const readSession = async (): Promise<Session> => {
  const { url, token } = await stored()
  const session = {
    url: process.env.SENDENSE_URL || url || defaultUrl,
    token: process.env.SENDENSE_TOKEN || token || '',
  }
  if (session.token === '') throw new Failure('unauthenticated', 'Nobody is logged in. Run: sendense login')
  return session
}
export const storeSession = async (session: Session): Promise<string> => {
  await mkdir(dirname(file()), { recursive: true, mode: 0o700 })
  // A file that is there keeps its mode: it goes first.
  await rm(file(), { force: true })
  await writeFile(file(), JSON.stringify(session), { mode: 0o600 })
  return file()
}
export const forgetSession = () => rm(file(), { force: true })
