/** A browser's login: the user's token in a cookie that no script can read and that no other site's request carries. An extension of the contract. */

export const sessionCookie = 'sendense_session'

const attributes = (isSecure: boolean) => `Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`
/** Whether the browser came by TLS, to us or to a proxy before us. One that says so falsely keeps its own cookie to TLS, no more. */
const isSecure = ({ url, headers }: { url: string; headers: Headers }) =>
  url.startsWith('https:') || headers.get('x-forwarded-proto') === 'https'

/** @returns headers that make the browser logged in until then */
export const sessionHeaders = (
  request: { url: string; headers: Headers },
  token: string,
  expiresAt: Date,
  now: Date,
) => ({
  'Set-Cookie': `${sessionCookie}=${token}; Max-Age=${Math.max(0, Math.floor((expiresAt.getTime() - now.getTime()) / 1000))}; ${attributes(isSecure(request))}`,
})
/** @returns headers that make the browser forget its login */
export const endSessionHeaders = (request: { url: string; headers: Headers }) => ({
  'Set-Cookie': `${sessionCookie}=; Max-Age=0; ${attributes(isSecure(request))}`,
})
/** @param cookies a request's Cookie header */
export const readSessionCookie = (cookies: string | null | undefined): string | undefined =>
  cookies
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${sessionCookie}=`))
    ?.slice(sessionCookie.length + 1)
