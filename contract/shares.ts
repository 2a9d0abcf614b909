/** Network shares that hold repositories: what hub and host-agent agree on, and what either refuses before a mount command sees it. */
import { z } from 'zod'

const words = (pattern: RegExp, error: string) => z.string().regex(pattern, { error })

/** A host name of RFC 1123, or an IPv4 or IPv6 address. Never begins with a dash. */
const server = words(
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^(?=.{2,45}$)[0-9A-Fa-f]*:[0-9A-Fa-f:]+$/,
  'must be a host name or an IP address',
)
/** No comma, which would begin another mount option, no control character, no step up. */
const exportPath = words(/^\/[A-Za-z0-9._/ @+=-]*$/, 'must be an absolute path of letters, digits and . _ / @ + = -')
  .max(400)
  .refine((path) => !path.split('/').includes('..'), { error: 'must not contain ".."' })
const shareName = words(/^[A-Za-z0-9._$][A-Za-z0-9._$ -]{0,79}$/, 'must be a share name')
/** Lines of a credentials file. */
const credential = (max: number) => words(/^[^\0-\x1f\x7f]*$/, 'must not contain control characters').max(max)

const common = ['noatime', 'nodiratime', 'relatime']
const number = (name: string) => new RegExp(`^${name}=\\d{1,8}$`)
/** All other options are ours: what a share can do on the host is not the share's to say. */
const allowed: Record<'nfs' | 'cifs', (string | RegExp)[]> = {
  nfs: [
    ...common,
    ...[
      'proto=tcp',
      'proto=tcp6',
      'proto=rdma',
      'sec=sys',
      'sec=krb5',
      'sec=krb5i',
      'sec=krb5p',
      'nolock',
      'noresvport',
    ],
    ...['timeo', 'retrans', 'rsize', 'wsize', 'port', 'nconnect', 'actimeo'].map(number),
  ],
  cifs: [
    ...common,
    ...['vers=2.1', 'vers=3.0', 'vers=3.1.1', 'seal', 'sec=ntlmssp', 'sec=ntlmsspi', 'sec=krb5', 'sec=krb5i', 'guest'],
    ...['rsize', 'wsize', 'port', 'actimeo', 'echo_interval'].map(number),
  ],
}
const isAllowed = (type: 'nfs' | 'cifs', option: string) =>
  allowed[type].some((one) => (typeof one === 'string' ? one === option : one.test(option)))

/** Options as people write them: `noatime,timeo=50`. */
export const mountOptions = (type: 'nfs' | 'cifs') =>
  z
    .string()
    .max(255)
    .transform((text) => (text === '' ? [] : text.split(',')))
    .pipe(
      z.array(
        z.string().refine((option) => isAllowed(type, option), {
          error: ({ input }) => `${JSON.stringify(input).slice(0, 60)} is not an allowed option`,
        }),
      ),
    )

export const nfsVersions = ['3', '4', '4.0', '4.1', '4.2'] as const
/** As a repository's configuration names it. */
export const nfsFields = { server, export_path: exportPath, nfs_version: z.enum(nfsVersions).default('4.1') }
export const cifsFields = {
  server,
  share_name: shareName,
  username: credential(255).default(''),
  password: credential(1024).default(''),
  domain: credential(255).default(''),
}

const options = (type: 'nfs' | 'cifs') =>
  z.array(z.string().refine((option) => isAllowed(type, option), { error: 'is not an allowed option' })).max(32)
export const mountPoint = z
  .string()
  .max(400)
  .regex(/^\/[^\0-\x1f\x7f]*$/, { error: 'must be an absolute path' })
  .refine((path) => !path.split('/').includes('..'), { error: 'must not contain ".."' })
export const networkShare = z.discriminatedUnion('type', [
  z.object({ type: z.literal('nfs'), ...nfsFields, mount_point: mountPoint, options: options('nfs') }),
  z.object({ type: z.literal('cifs'), ...cifsFields, mount_point: mountPoint, options: options('cifs') }),
])
export type NetworkShare = z.infer<typeof networkShare>

/** What mount shows as the source of a share. */
export const sourceOf = (share: NetworkShare): string =>
  share.type === 'nfs'
    ? `${share.server.includes(':') ? `[${share.server}]` : share.server}:${share.export_path}`
    : `//${share.server}/${share.share_name}`
