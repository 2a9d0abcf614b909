/** NODE: the source node over HTTP (contract section 24). Any node that follows the contract will do. */
import { HubError } from '../../contract/errors.ts'
import { discoverAnswer, type NodeApi } from '../../contract/node.ts'

/** A discovery of 20 000 VMs; anything larger is no answer of a node. */
const answerBytesMax = 64 * 1024 * 1024

const unreachable = (cause: unknown) =>
  new HubError('NODE_UNREACHABLE', 'The source node can not be reached', {
    details: 'check that it runs and that the tunnel is up',
    cause,
  })

const readLimited = async (response: Response): Promise<string> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > answerBytesMax) throw new HubError('NODE_ERROR', 'The source node answered with too much')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** One sentence out of a node's error, in the form of section 1.4 or in plain text, cut short: it comes from another machine. */
const sentenceOf = (said: string): string => {
  try {
    const { error, details } = JSON.parse(said) as { error?: unknown; details?: unknown }
    return [error, details]
      .filter((part) => typeof part === 'string' && part !== '')
      .join(': ')
      .slice(0, 300)
  } catch {
    return said
      .replace(/[^\x20-\x7e]+/g, ' ')
      .trim()
      .slice(0, 300)
  }
}

/** @param url of the node, with or without /api/v1 */
export const openNodeClient = (url: string): NodeApi => {
  const base = `${url.replace(/\/+$/, '').replace(/\/api\/v1$/, '')}/api/v1`

  const call = async (
    method: string,
    path: string,
    body: unknown,
    limitMs: number,
    failure: 'NODE_ERROR' | 'DISCOVERY_FAILED' = 'NODE_ERROR',
  ) => {
    let response: Response
    let said: string
    try {
      response = await fetch(`${base}${path}`, {
        method,
        ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(limitMs),
      })
      said = await readLimited(response)
    } catch (cause) {
      if (cause instanceof HubError) throw cause
      throw unreachable(cause)
    }
    if (!response.ok) {
      const sentence =
        failure === 'NODE_ERROR' ? 'The source node answered with an error' : 'The source refused the discovery'
      throw new HubError(failure, sentence, { details: sentenceOf(said) || `status ${response.status}` })
    }
    return said
  }

  return {
    health: async () => {
      await call('GET', '/health', undefined, 5_000)
    },
    discover: async (request) => {
      const said = await call('POST', '/discover', request, 120_000, 'DISCOVERY_FAILED')
      try {
        return discoverAnswer.parse(JSON.parse(said))
      } catch (cause) {
        throw new HubError('NODE_ERROR', 'The source node answered with something that is no discovery', { cause })
      }
    },
    startBackup: async (request) => {
      await call('POST', '/backup/start', request, 30_000)
    },
    stopBackup: async (jobId, reason) => {
      await call('POST', `/backup/${encodeURIComponent(jobId)}/stop`, { reason }, 10_000)
    },
  }
}
