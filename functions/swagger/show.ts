/** GET /swagger/*: browsable API pages, from files of ours alone. */
import { Readable } from 'node:stream'
import { HubError } from '../../contract/errors.ts'
import { answer, defineFunction, streamAnswer } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Browsable API pages',
    needs: ['RUNTIME'],
    responses: { 200: { contentType: 'text/html', description: 'A page, or one of its files' } },
    errors: ['ROUTE_NOT_FOUND'],
  },
  async ({ env: { RUNTIME }, request }) => {
    const file = /\/swagger\/?([^/]*)$/.exec(new URL(request.url).pathname)?.[1] || 'index.html'
    if (file === 'doc.json') return answer(200, RUNTIME.openapi())
    const asset = RUNTIME.swaggerAsset(file)
    if (!asset) throw new HubError('ROUTE_NOT_FOUND', 'There is no such page')
    return streamAnswer(
      200,
      {
        'Content-Type': asset.contentType,
        'Content-Length': String(asset.data.length),
        'Cache-Control': 'public, max-age=3600',
      },
      Readable.from([asset.data]),
    )
  },
)
