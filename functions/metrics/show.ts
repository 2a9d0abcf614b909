/** GET /metrics: figures for monitoring, in Prometheus' text format. */
import { Readable } from 'node:stream'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'
import { metricsContentType, renderMetrics } from '../../workflows/metrics.ts'

export default defineFunction(
  {
    summary: 'Metrics',
    needs: ['DB', 'CLOCK', 'SETTINGS'],
    responses: { 200: { contentType: 'text/plain', description: "Metrics in Prometheus' text format" } },
  },
  async ({ env, request }) => {
    const text = await renderMetrics(env)
    const headers = { 'Content-Type': metricsContentType, 'Cache-Control': 'no-store' }
    return streamAnswer(200, headers, request.method === 'HEAD' ? null : Readable.from([Buffer.from(text)]))
  },
)
