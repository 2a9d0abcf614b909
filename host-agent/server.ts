/** The agent's HTTP interface on its unix socket: checks the shape, calls one method, maps the error. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import {
  archiveBody,
  contentBody,
  copyBody,
  type DiskChain,
  digestBody,
  diskChain,
  diskFile,
  exportBody,
  exportNameSchema,
  fetchBody,
  fileInfoHeader,
  guestPath,
  indexBody,
  listingBody,
  lockBody,
  mergeBody,
  mountBody,
  mountEndReasons,
  mountIdSchema,
  repositoryBody,
  repositoryIdSchema,
  sealBody,
  testRepositoryBody,
  verifyBody,
} from '../contract/agent.ts'
import { errorBody, HubError } from '../contract/errors.ts'
import { readBytes, readMessage } from '../contract/json-and-bytes.ts'
import type { Agent } from './agent.ts'
import { log } from './log.ts'
import type { Content } from './mounts/mount-files.ts'

type Env = { Bindings: { incoming: IncomingMessage; outgoing: ServerResponse } }
/** The largest request names a chain of 1000 files. */
const bodyBytesMax = 1024 * 1024

const check = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const result = schema.safeParse(value)
  if (!result.success)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      details: z.prettifyError(result.error).slice(0, 500),
    })
  return result.data
}
/** Of Node's own request: by way of a web stream it takes as long again as all the rest of a call. */
const message = (c: Context<Env>) =>
  readMessage(c.env.incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>, bodyBytesMax)
const checkJson = <S extends z.ZodType>(schema: S, json: string): z.output<S> => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw new HubError('INVALID_JSON', 'The request body is not valid JSON', { cause })
  }
  return check(schema, value)
}
const body = async <S extends z.ZodType>(c: Context<Env>, schema: S): Promise<z.output<S>> => {
  const { json, rest } = await message(c)
  if ((await readBytes(rest, bodyBytesMax)).length > 0)
    throw new HubError('VALIDATION_FAILED', 'The request has bytes behind its JSON')
  return checkJson(schema, json)
}
/** A system call that failed (a disk that gives EIO, a full process table) is the machine's trouble, not an error of ours. */
const toHubError = (error: unknown): HubError => {
  if (error instanceof HubError) return error
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code !== undefined && syscall !== undefined)
    return new HubError('SERVICE_UNAVAILABLE', 'The machine refused what had to be done', {
      details: `${code} in ${syscall}`,
      cause: error,
      headers: { 'Retry-After': '5' },
    })
  return new HubError('INTERNAL', 'The host-agent made an error; its log has the details', { cause: error })
}

// No Content-Length: the hub takes chunked bodies from this socket twice as fast as ones of known length (measured on Node 20).
const send = (c: Context<Env>, content: Content, headers: Record<string, string> = {}) => {
  const { outgoing } = c.env
  outgoing.writeHead(200, { 'Content-Type': 'application/octet-stream', ...headers })
  content(outgoing).then(
    () => outgoing.end(),
    (error: unknown) => {
      log.warn({ error: String(error), details: (error as HubError).details }, 'a download ended early')
      // Never ended in order: what was cut must not look whole.
      outgoing.destroy()
    },
  )
  return RESPONSE_ALREADY_SENT
}

export const createServerApp = (agent: Agent) => {
  const app = new Hono<Env>()
  const id = (c: Context<Env>) => check(mountIdSchema, c.req.param('id'))
  const exportName = (c: Context<Env>) => check(exportNameSchema, c.req.param('name'))
  const repository = (c: Context<Env>) => check(repositoryIdSchema, c.req.param('id'))

  const placeOf = (asked: z.output<typeof repositoryBody>) => ('path' in asked ? asked.path : asked.share)

  const makingWay = <T>(disks: readonly DiskChain[], open: () => Promise<T>): Promise<T> =>
    disks.reduce<() => Promise<T>>((next, disk) => () => agent.merges.makeWay(disk, next), open)()

  app.get('/health', async (c) => c.json(await agent.health()))

  app.put('/repositories/:id', async (c) =>
    c.json(await agent.repositories.ensure(repository(c), placeOf(await body(c, repositoryBody)))),
  )
  app.post('/repositories/test', async (c) => {
    const { place, locks } = await body(c, testRepositoryBody)
    return c.json(await agent.repositories.test(placeOf(place), locks))
  })
  app.get('/repositories/:id/storage', async (c) => c.json(await agent.repositories.storage(repository(c))))
  app.delete('/repositories/:id', async (c) => {
    await agent.repositories.forget(repository(c))
    return c.json({})
  })

  app.put('/exports/:name', async (c) => {
    const asked = await body(c, exportBody)
    const open = () => agent.exports.ensure(exportName(c), asked)
    return c.json(await (asked.kind === 'new' ? agent.merges.makeWay(asked.file, open) : open()))
  })
  app.get('/exports', async (c) => c.json(await agent.exports.list()))
  app.get('/exports/:name', async (c) => c.json(await agent.exports.get(exportName(c))))
  app.post('/exports/:name/seal', async (c) => c.json(await agent.exports.seal(exportName(c), await body(c, sealBody))))
  app.delete('/exports/:name', async (c) =>
    c.json(await agent.exports.drop(exportName(c), c.req.query('delete_file') === 'true')),
  )

  app.post('/chains/inspect', async (c) => c.json(await agent.repositories.inspect(await body(c, diskChain))))
  app.post('/disk-files/delete', async (c) => {
    const file = await body(c, diskFile)
    await agent.verifications.stop(file)
    await agent.copies.stop(file)
    const remove = () => agent.repositories.deleteDiskFile(file)
    return c.json({ freed_bytes: await agent.merges.makeWay(file, remove) })
  })

  app.post('/disk-files/lock', async (c) => {
    const { file, until } = await body(c, lockBody)
    await agent.repositories.lock(file, new Date(until))
    return c.json({})
  })

  app.post('/verifications', async (c) => c.json(await agent.verifications.verify(await body(c, verifyBody))))
  app.post('/verifications/stop', async (c) => {
    await agent.verifications.stop(await body(c, diskFile))
    return c.json({})
  })

  app.post('/copies', async (c) => c.json(await agent.copies.copy(await body(c, copyBody))))
  app.post('/copies/stop', async (c) => {
    await agent.copies.stop(await body(c, diskFile))
    return c.json({})
  })

  app.post('/merges', async (c) => c.json(await agent.merges.merge(await body(c, mergeBody))))

  app.put('/mounts/:id', async (c) => {
    const asked = await body(c, mountBody)
    // A merge of any of these disks goes out of the way.
    return c.json(await makingWay(asked.disks, () => agent.mounts.ensure(id(c), asked)))
  })
  app.get('/mounts', (c) => c.json(agent.mounts.list()))
  app.get('/mounts/:id', (c) => c.json(agent.mounts.get(id(c))))
  app.delete('/mounts/:id', async (c) => {
    await agent.mounts.remove(id(c), check(z.enum(mountEndReasons), c.req.query('reason')))
    return c.json({})
  })
  const guestFile = (
    c: Context<Env>,
    { path_b64, partition }: { path_b64: string; partition?: number | undefined },
  ) => ({
    id: id(c),
    path: Buffer.from(path_b64, 'base64'),
    partition,
  })
  app.post('/mounts/:id/files', async (c) => {
    const asked = await body(c, listingBody)
    return c.json(await agent.files.list(guestFile(c, asked), asked))
  })
  app.post('/mounts/:id/file-info', async (c) => c.json(await agent.files.info(guestFile(c, await body(c, guestPath)))))
  app.post('/mounts/:id/content', async (c) => {
    const asked = await body(c, contentBody)
    return send(c, await agent.files.read(guestFile(c, asked), asked.start, asked.length))
  })
  app.post('/mounts/:id/archive', async (c) => {
    const asked = await body(c, archiveBody)
    const { format, checksums, only_b64 } = asked
    const only = only_b64?.map((one) => Buffer.from(one, 'base64'))
    const options = { format, checksums, only, without: [], prefix: Buffer.alloc(0) }
    return send(c, await agent.files.archive(guestFile(c, asked), options))
  })
  app.post('/index', async (c) => {
    const asked = await body(c, indexBody)
    return send(c, await makingWay(asked.disks, () => agent.files.index(asked)))
  })
  app.post('/digests', async (c) => {
    const asked = await body(c, digestBody)
    return send(c, await makingWay(asked.disks, () => agent.files.digests(asked)))
  })
  app.post('/fetch', async (c) => {
    const asked = await body(c, fetchBody)
    const { info, content } = await makingWay(asked.disks, () => agent.files.fetch(asked))
    return send(c, content, { [fileInfoHeader]: Buffer.from(JSON.stringify(info)).toString('base64') })
  })
  app.get('/cleanup', (c) => c.json(agent.sweep.state()))

  app.post('/examination', (c) => c.json(agent.examinations.start()))
  app.get('/examination', (c) => c.json(agent.examinations.last))

  const answer = (error: HubError, c: Context<Env>) => c.json(errorBody(error, '', new Date()), error.status)
  app.notFound((c) => answer(new HubError('ROUTE_NOT_FOUND', 'There is no such operation'), c))
  app.onError((error, c) => {
    const known = toHubError(error)
    if (known.status >= 500)
      log.error(
        {
          path: c.req.path,
          code: known.code,
          details: known.details,
          cause: String((known.cause as Error)?.stack ?? known.cause),
        },
        known.message,
      )
    return answer(known, c)
  })
  return app
}
