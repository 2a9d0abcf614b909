/** The whole product as `npm start` runs it, in a folder and on ports of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { waitFor } from '../../runtime/service.ts'
import { projectRoot } from '../../runtime/version.ts'
import { freePorts } from './real-agent.ts'

/** Of the user admin. */
export const password = 'e2e password'

export type Reply = { status: number; body: any }
export type Hub = {
  url: string
  folder: string
  repositoryPath: string
  readonly token: string
  api: (method: string, path: string, body?: unknown) => Promise<Reply>
  fetch: (path: string, headers?: Record<string, string>) => Promise<Response>
  /** Pid of one of the launcher's processes. */
  pidOf: (name: 'hub' | 'host-agent' | 'source-node' | 'database') => number
  /** SIGKILL; the launcher starts it again. */
  kill: (name: 'hub' | 'host-agent' | 'source-node' | 'database') => Promise<void>
  waitHealthy: () => Promise<void>
  output: () => string
  /** Runs the doctor beside the hub. */
  doctor: (...args: string[]) => Promise<{ exitCode: number | undefined; adopted: any; findings: any[] }>
  /** Ends all of it in order, and leaves its folder. */
  end: () => Promise<void>
  /** Starts it again. @param args of the launcher */
  start: (args?: string[]) => Promise<void>
  /** Ends all of it in order, and starts it again. @param args of the launcher */
  restart: (meanwhile: () => void, args?: string[]) => Promise<void>
  /**
   * Ends all of it and removes its folder.
   * @param meanwhile frees what the test put there
   * @throws Error when the doctor finds something before
   */
  stop: (meanwhile?: () => void) => Promise<void>
}

const commands = {
  hub: 'runtime/main.js',
  'host-agent': 'host-agent/main.js',
  'source-node': 'source-node/main.js',
  database: 'mariadbd',
}

/**
 * @param environment SENDENSE_ variables on top of the test's own
 * @param folder where all of it lies, instead of a new one
 */
export const startHub = async (
  environment: Record<string, string> = {},
  folder = mkdtempSync(join(tmpdir(), 'sendense-hub-')),
): Promise<Hub> => {
  // As an admin would: the folder can be entered, what is in it is guarded by itself.
  execFileSync('/usr/bin/chmod', ['755', folder])
  const [dataDir, repositoryPath] = [join(folder, 'data'), join(folder, 'repository')]
  for (const path of [dataDir, repositoryPath, join(folder, 'vms')]) mkdirSync(path)
  const port = await freePorts(60)
  const sources = join(folder, 'sources.json')
  writeFileSync(sources, JSON.stringify({ sources: { lab: { kind: 'image', folder: join(folder, 'vms') } } }))

  const env = {
    PATH: process.env.PATH!,
    SENDENSE_DATA_DIR: dataDir,
    SENDENSE_PORT: String(port),
    SENDENSE_SFTP_PORT: String(port + 2),
    SENDENSE_NBD_PORTS: `${port + 10}-${port + 50}`,
    SENDENSE_RESTORE_ROOT: join(folder, 'restore'),
    SENDENSE_SOURCES: sources,
    SENDENSE_ADMIN_PASSWORD: password,
    // One that waits takes seconds of the processor at each start.
    SENDENSE_MACHINE_MOUNTS: 'none',
    ...environment,
  }
  const url = `http://127.0.0.1:${port}`
  let launcher!: ChildProcess
  let output = ''
  let token = ''
  const waitHealthy = () =>
    waitFor(
      'the hub under test',
      async () => {
        if (launcher.exitCode !== null) throw new Error(`the launcher has ended:\n${output}`)
        const response = await fetch(`${url}/health`)
        return ((await response.json()) as { status: string }).status === 'healthy'
      },
      60_000,
    )
  const start = async (args: string[] = []) => {
    launcher = spawn(process.execPath, [fileURLToPath(new URL('dist/runtime/start.js', projectRoot)), ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    output = ''
    for (const stream of [launcher.stdout!, launcher.stderr!])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    await waitFor('the start', async () => output.includes('is ready') || launcher.exitCode !== null, 90_000)
    if (launcher.exitCode !== null) throw new Error(output)
    const login = await fetch(`${url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: 'admin', password }),
    })
    token = ((await login.json()) as { token: string }).token
  }
  const end = async () => {
    const ended = new Promise((resolve) => launcher.once('exit', resolve))
    launcher.kill('SIGTERM')
    await ended
  }
  await start()

  const doctor: Hub['doctor'] = async (...args) => {
    const program = fileURLToPath(new URL('dist/doctor/main.js', projectRoot))
    const { exitCode, stdout, stderr } = await execa(process.execPath, [program, '--json', ...args], {
      env,
      extendEnv: false,
      reject: false,
    })
    if (stderr !== '') throw new Error(stderr)
    return { exitCode, ...(JSON.parse(stdout) as { adopted: any; findings: any[] }) }
  }

  const pidOf: Hub['pidOf'] = (name) => {
    const children = readFileSync(`/proc/${launcher.pid}/task/${launcher.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .map(Number)
    const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(commands[name]))
    if (found === undefined) throw new Error(`no ${name} is running`)
    return found
  }
  return {
    url,
    folder,
    repositoryPath,
    doctor,
    get token() {
      return token
    },
    output: () => output,
    waitHealthy,
    pidOf,
    api: async (method, path, body) => {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: await response.json() }
    },
    fetch: (path, headers = {}) =>
      fetch(`${url}/api/v1${path}`, { headers: { Authorization: `Bearer ${token}`, ...headers } }),
    kill: async (name) => {
      const pid = pidOf(name)
      process.kill(pid, 'SIGKILL')
      await waitFor(`another ${name}`, async () => pidOf(name) !== pid, 20_000)
    },
    end,
    start,
    restart: async (meanwhile, args) => {
      await end()
      meanwhile()
      await start(args)
    },
    stop: async (meanwhile = () => undefined) => {
      const { findings } = await doctor()
      await end()
      meanwhile()
      rmSync(folder, { recursive: true })
      if (findings.length > 0)
        throw new Error(`the doctor found ${findings.length}: ${JSON.stringify(findings.slice(0, 20))}`)
    },
  }
}

/** Registers what `discover` finds under a credential, and a repository. */
export const registerVm = async (hub: Hub, vmName: string, source = 'image:lab') => {
  const known = await hub.api('GET', '/vmware-credentials')
  const credential =
    known.body.credentials[0]?.id ??
    (
      await hub.api('POST', '/vmware-credentials', {
        credential_name: source,
        vcenter_host: source,
        username: source.startsWith('image:') ? '' : 'u',
        password: source.startsWith('image:') ? '' : 'p',
        datacenter: 'lab',
      })
    ).body.credential.id
  const added = await hub.api('POST', '/discovery/add-vms', { credential_id: credential, vm_names: [vmName] })
  if (!added.body.success) throw new Error(JSON.stringify(added.body))
  const repositories = await hub.api('GET', '/repositories')
  const repositoryId: string =
    repositories.body.repositories[0]?.id ??
    (await hub.api('POST', '/repositories', { name: 'main', type: 'local', config: { path: hub.repositoryPath } })).body
      .repository_id
  return { vmName, repositoryId }
}

export const waitForEnd = async (hub: Hub, backupId: string, timeoutMs = 90_000): Promise<any> => {
  let last: any
  await waitFor(
    `the end of ${backupId}`,
    async () => {
      last = (await hub.api('GET', `/backups/${backupId}`)).body
      return ['completed', 'failed', 'cancelled'].includes(last.status)
    },
    timeoutMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`)
  })
  return last
}
/** @returns the backup as it ended */
export const runBackup = async (
  hub: Hub,
  vm: { vmName: string; repositoryId: string },
  type: 'full' | 'incremental',
): Promise<any> => {
  const { status, body } = await hub.api('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: type,
  })
  if (status !== 200) throw new Error(JSON.stringify(body))
  return waitForEnd(hub, body.backup_id)
}
