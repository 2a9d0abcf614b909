/** GET /events: what changes, as it changes, as server-sent events; Last-Event-ID goes on where a connection was lost. */
import { defineFunction, streamAnswer } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Live events',
    needs: ['EVENTS'],
    responses: {
      200: {
        contentType: 'text/event-stream',
        description: 'Events `job`, `mount`, `execution` and `repository`, each with the whole state of what changed',
      },
    },
  },
  async ({ env: { EVENTS }, request }) =>
    streamAnswer(
      200,
      { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' },
      request.method === 'HEAD' ? null : EVENTS.listen(request.headers.get('last-event-id') ?? undefined),
    ),
)
