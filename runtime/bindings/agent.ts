/** AGENT: the host-agent over its unix socket. */
import { Agent as HttpAgent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { type AgentApi, type FileInfo, fileInfoHeader, type RepositoryPlace } from '../../contract/agent.ts'
import { errorFromBody, HubError } from '../../contract/errors.ts'
import { messageOf } from '../../contract/json-and-bytes.ts'

/** Attaching, checking or deleting takes long on a slow disk; past this something hangs. */
const timeoutMs = 180_000
/** Requests that the socket carries at once; more wait here. Downloads have their own connections. */
const connectionsMax = 64

const unreachable = (cause: unknown) =>
  new HubError('SERVICE_UNAVAILABLE', 'The host-agent does not answer', { cause, headers: { 'Retry-After': '5' } })

/**
 * A request whose answer has come no longer hears of its socket (Node 20), nobody does: when the agent refuses one early and hangs up, what was still to be sent
 * would end the hub.
 */
const ignore = () => undefined

export const openAgentClient = (socketPath: string): AgentApi & { close: () => void } => {
  const pool = new HttpAgent({ keepAlive: true, maxSockets: connectionsMax })
  const streams = new HttpAgent({ keepAlive: false })

  const open = (
    method: string,
    path: string,
    message: Buffer | undefined,
    agent: HttpAgent,
    limitMs: number,
  ): Promise<IncomingMessage> =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = message && { 'Content-Type': 'application/json', 'Content-Length': message.length }
      let answered = false
      const outgoing = request({ socketPath, path, method, headers: headers ?? {}, agent, timeout: limitMs })
      outgoing.on('timeout', () => outgoing.destroy(new Error('the host-agent took too long')))
      outgoing.on('error', (cause: NodeJS.ErrnoException) => {
        // A kept connection that the agent had just closed: the request never began, and every operation can be repeated.
        const stale = !answered && outgoing.reusedSocket && (cause.code === 'EPIPE' || cause.code === 'ECONNRESET')
        if (stale) resolve(open(method, path, message, agent, limitMs))
        else reject(unreachable(cause))
      })
      outgoing.once('socket', (socket) => {
        if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore)
      })
      outgoing.on('response', (response) => {
        answered = true
        resolve(response)
      })
      outgoing.end(message)
    })

  const fail = async (response: IncomingMessage): Promise<never> => {
    const said = await text(response).catch(() => '')
    let known: HubError | undefined
    try {
      known = errorFromBody(JSON.parse(said))
    } catch {
      // An answer that is no error of ours says only that something is wrong over there.
    }
    throw known ?? unreachable(new Error(`status ${response.statusCode}: ${said.slice(0, 200)}`))
  }

  const call = async <T>(method: string, path: string, body?: unknown, limitMs = timeoutMs): Promise<T> => {
    const response = await open(method, path, body === undefined ? undefined : messageOf(body), pool, limitMs)
    if (response.statusCode !== 200) return fail(response)
    const said = await text(response).catch((cause: unknown) => {
      throw unreachable(cause)
    })
    return JSON.parse(said) as T
  }

  const stream = async (path: string, message: Buffer): Promise<IncomingMessage> => {
    // A client that reads slowly is no reason to cut a stream: once it runs, there is no time limit.
    const response = await open('POST', path, message, streams, timeoutMs)
    if (response.statusCode !== 200) return fail(response)
    response.socket.setTimeout(0)
    return response
  }

  const mount = (id: string) => `/mounts/${encodeURIComponent(id)}`
  const exported = (name: string) => `/exports/${encodeURIComponent(name)}`
  const placed = (place: RepositoryPlace) => (typeof place === 'string' ? { path: place } : { share: place })
  const repository = (id: string) => `/repositories/${encodeURIComponent(id)}`

  return {
    health: () => call('GET', '/health', undefined, 5_000),

    ensureRepository: (id, place) => call('PUT', repository(id), placed(place)),
    testRepository: (place, locks = false) => call('POST', '/repositories/test', { place: placed(place), locks }),
    repositoryStorage: (id) => call('GET', `${repository(id)}/storage`),
    forgetRepository: (id) => call('DELETE', repository(id)),

    ensureExport: (name, body) => call('PUT', exported(name), body),
    listExports: () => call('GET', '/exports'),
    getExport: (name) => call('GET', exported(name)),
    sealExport: (name, body) => call('POST', `${exported(name)}/seal`, body),
    dropExport: (name, deleteFile) => call('DELETE', `${exported(name)}?delete_file=${deleteFile}`),

    inspectChain: (chain) => call('POST', '/chains/inspect', chain),
    deleteDiskFile: (file) => call('POST', '/disk-files/delete', file),

    verifyFile: (body) => call('POST', '/verifications', body),
    stopVerify: (file) => call('POST', '/verifications/stop', file),

    copyFile: (body) => call('POST', '/copies', body),
    lockFile: (body) => call('POST', '/disk-files/lock', body),
    mergeFile: (body) => call('POST', '/merges', body),
    stopCopy: (target) => call('POST', '/copies/stop', target),

    ensureMount: (id, body) => call('PUT', mount(id), body),
    listMounts: () => call('GET', '/mounts'),
    getMount: (id) => call('GET', mount(id)),
    removeMount: (id, reason) => call('DELETE', `${mount(id)}?reason=${reason}`),

    listFiles: (id, body) => call('POST', `${mount(id)}/files`, body),
    fileInfo: (id, path) => call('POST', `${mount(id)}/file-info`, path),
    readFile: (id, body) => stream(`${mount(id)}/content`, messageOf(body)),
    readArchive: (id, body) => stream(`${mount(id)}/archive`, messageOf(body)),

    readIndex: (body) => stream('/index', messageOf(body)),
    readDigests: (body) => stream('/digests', messageOf(body)),
    fetchFile: async (body) => {
      const content = await stream('/fetch', messageOf(body))
      const said = Buffer.from(String(content.headers[fileInfoHeader]), 'base64').toString('utf8')
      return { info: JSON.parse(said) as FileInfo, content }
    },

    cleanupState: () => call('GET', '/cleanup'),

    startExamination: () => call('POST', '/examination'),
    lastExamination: () => call('GET', '/examination'),

    close: () => {
      pool.destroy()
      streams.destroy()
    },
  }
}
