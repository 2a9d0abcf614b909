/** GET /users: all users, by name. */
import { z } from 'zod'
import { page, pagingQuery } from '../../contract/api/common.ts'
import { usersAnswer } from '../../contract/api/users.ts'
import { listUsers, toManagedUser } from '../../db/queries/users.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'List users', needs: ['DB'], query: z.object(pagingQuery()), responses: { 200: usersAnswer } },
  async ({ query, env: { DB } }) => {
    const { shown, ...counted } = page((await listUsers(DB.orm)).map(toManagedUser), query)
    return { users: shown, ...counted }
  },
)
