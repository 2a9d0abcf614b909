/** The agent's ledger and this machine: what it names is there, and nothing of ours is there that it does not name. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { processStartTicks, program, run } from '../host-agent/exec.ts'
import type { Finding } from './finding.ts'

export type Host = {
  /** The agent's state folder. */
  stateDir: string
  restoreRoot: string
  nbdPorts: { first: number; last: number }
}

type ExportEntry = { status: string; pid: number | null; startTicks: string | null; port: number; qcow2Path: string }
type MountEntry = { root: string; runDir: string }

export const readLedger = async <Entry>(stateDir: string, kind: string): Promise<Map<string, Entry>> => {
  const folder = join(stateDir, 'ledger', kind)
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json'))
  const entries = await Promise.all(
    names.map(async (name) => {
      // An entry that went away meanwhile is no entry.
      const text = await readFile(join(folder, name), 'utf8').catch(() => undefined)
      return text === undefined ? [] : [[name.slice(0, -'.json'.length), JSON.parse(text) as Entry] as const]
    }),
  )
  return new Map(entries.flat())
}

export const checkHost = async ({ stateDir, restoreRoot, nbdPorts }: Host): Promise<Finding[]> => {
  const exports = await readLedger<ExportEntry>(stateDir, 'exports')
  const mounts = await readLedger<MountEntry>(stateDir, 'mounts')
  const found = await Promise.all([
    ...[...exports].map(([name, entry]) => checkExport(name, entry)),
    checkMounts(restoreRoot, mounts),
    checkLoops(stateDir, mounts),
    checkRunFolders(stateDir, mounts),
    checkReaders(stateDir, mounts),
    checkPorts(nbdPorts, exports),
  ])
  return found.flat()
}

const checkExport = async (name: string, { status, pid, startTicks }: ExportEntry): Promise<Finding[]> => {
  if (status !== 'writing' || pid === null) return []
  if ((await processStartTicks(pid)) === startTicks) return []
  return [{ invariant: 'I12', subject: `export ${name}`, problem: `its qemu-nbd ${pid} is gone` }]
}

/** Mount points below a folder, from the kernel's own table. */
const mountPointsBelow = async (folder: string): Promise<string[]> =>
  (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((path) => path.startsWith(`${folder}/`))

const checkMounts = async (restoreRoot: string, mounts: Map<string, MountEntry>): Promise<Finding[]> => {
  const owned = (path: string) => [...mounts.values()].some(({ root }) => path === root || path.startsWith(`${root}/`))
  const folders = await readdir(restoreRoot).catch(() => [])
  return [
    ...(await mountPointsBelow(restoreRoot))
      .filter((path) => !owned(path))
      .map((path) => ({ invariant: 'I11', subject: path, problem: 'is mounted, and no mount of ours' })),
    ...folders
      .map((name) => join(restoreRoot, name))
      .filter((path) => !owned(path))
      .map((path) => ({ invariant: 'I11', subject: path, problem: 'is left of a mount that has ended' })),
  ]
}

const checkLoops = async (stateDir: string, mounts: Map<string, MountEntry>): Promise<Finding[]> => {
  const { stdout } = await run(program.losetup, ['--json', '--list', '--output', 'NAME,BACK-FILE'])
  const { loopdevices = [] } = (stdout.trim() === '' ? {} : JSON.parse(stdout)) as {
    loopdevices?: { name: string; 'back-file': string }[]
  }
  return loopdevices
    .filter(({ 'back-file': file }) => file.startsWith(`${stateDir}/`))
    .filter(({ 'back-file': file }) => ![...mounts.values()].some(({ runDir }) => file.startsWith(`${runDir}/`)))
    .map(({ name }) => ({ invariant: 'I11', subject: name, problem: 'is attached to a disk that is not mounted' }))
}

const checkRunFolders = async (stateDir: string, mounts: Map<string, MountEntry>): Promise<Finding[]> =>
  (await readdir(join(stateDir, 'mounts')).catch(() => []))
    .filter((name) => !mounts.has(name))
    .map((name) => ({
      invariant: 'I11',
      subject: join(stateDir, 'mounts', name),
      problem: 'is left of a mount that has ended',
    }))

/** One always waits for the next mount. */
const spares = 1
const checkReaders = async (stateDir: string, mounts: Map<string, MountEntry>): Promise<Finding[]> => {
  const findings: Finding[] = []
  for (const kind of ['sandboxes', 'machines']) {
    const folder = join(stateDir, kind)
    const found = await readdir(folder, { withFileTypes: true }).catch(() => [])
    const count = found.filter((entry) => entry.isDirectory()).length
    if (count > mounts.size + spares)
      findings.push({ invariant: 'I11', subject: folder, problem: `${count} ${kind} for ${mounts.size} mounts` })
  }
  return findings
}

const listening = '0A'
const loopback = '0100007F'
/** Exports listen on loopback alone, in their range, and all of them do. */
const checkPorts = async ({ first, last }: Host['nbdPorts'], exports: Map<string, ExportEntry>): Promise<Finding[]> => {
  const listeners = (await readFile('/proc/net/tcp', 'utf8'))
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === listening)
    .map(([, local]) => ({ address: local!.slice(0, 8), port: Number.parseInt(local!.slice(9), 16) }))
  return [...exports].flatMap(([name, { status, pid, port }]) => {
    if (status !== 'writing' || pid === null) return []
    const say = (problem: string): Finding[] => [{ invariant: 'I20', subject: `export ${name}`, problem }]
    if (port < first || port > last) return say(`listens on port ${port}, outside of ${first}-${last}`)
    const own = listeners.filter((listener) => listener.port === port)
    if (own.length === 0) return say(`nobody listens on its port ${port}`)
    return own.every(({ address }) => address === loopback) ? [] : say(`port ${port} is open to other machines`)
  })
}
