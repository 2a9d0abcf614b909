/** GET /search: files of all restore points by the words of their names. */
import { searchAnswer, searchQuery } from '../../contract/api/files.ts'
import { defineFunction } from '../../runtime/function.ts'
import { searchFiles } from '../../workflows/find-files.ts'

export default defineFunction(
  { summary: 'Search files', needs: ['DB'], query: searchQuery, responses: { 200: searchAnswer } },
  ({ query, env }) => searchFiles(env, query),
)
