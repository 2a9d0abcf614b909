/** POST /auth/logout: the browser forgets its login. Tokens that are kept elsewhere stay good until they end. */
import { logoutAnswer } from '../../contract/api/auth.ts'
import { endSessionHeaders } from '../../contract/session-cookie.ts'
import { answer, defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Log out', needs: [], responses: { 200: logoutAnswer } },
  async ({ request }) => answer(200, { message: 'logged out' }, endSessionHeaders(request)),
)
