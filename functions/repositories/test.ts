/** POST /repositories/test: tests a configuration without saving it. */
import { randomUUID } from 'node:crypto'
import { testRepositoryAnswer, testRepositoryBody } from '../../contract/api/repositories.ts'
import { HubError } from '../../contract/errors.ts'
import { toStorage } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { placeOf } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'Test a repository configuration',
    needs: ['AGENT', 'CLOCK'],
    body: testRepositoryBody,
    responses: { 200: testRepositoryAnswer },
    errors: ['UNSUPPORTED_REPOSITORY_TYPE'],
  },
  async ({ body, env: { AGENT, CLOCK } }) => {
    const place = placeOf(body.type, `test-${randomUUID()}`, body.config)
    try {
      const measured = await AGENT.testRepository(place)
      return {
        success: true,
        message: 'the repository can be used',
        storage_info: toStorage('', measured, 0, CLOCK.now()),
        error_details: null,
      }
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'REPOSITORY_TEST_FAILED') throw error
      return { success: false, message: error.message, storage_info: null, error_details: error.details }
    }
  },
)
