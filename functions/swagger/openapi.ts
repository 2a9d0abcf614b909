/** GET /openapi.json: the OpenAPI document, made from the schemas that validate requests. */
import { z } from 'zod'
import { answer, defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'The OpenAPI document', needs: ['RUNTIME'], responses: { 200: z.looseObject({ openapi: z.string() }) } },
  async ({ env: { RUNTIME } }) => answer(200, RUNTIME.openapi(), { 'Cache-Control': 'public, max-age=60' }),
)
