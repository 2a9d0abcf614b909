/** Cron: takes words out of the index that lead to machines which are gone. */
import { forgetDeletedFolders } from '../../db/queries/file-words.ts'
import { defineCron } from '../../runtime/function.ts'

export default defineCron({ summary: 'Forget words of deleted machines', needs: ['DB'] }, ({ DB }) =>
  forgetDeletedFolders(DB),
)
