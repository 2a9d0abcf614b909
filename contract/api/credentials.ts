import { z } from 'zod'
import { listCounts, queryInt, str, time } from './common.ts'

/** A credential may name a source that the node's own settings define, instead of a vCenter. */
export const isNodeSource = (vcenterHost: string) => /^(image|qemu|libvirt):./.test(vcenterHost)

export const credentialParams = z.object({ id: queryInt(1, 2 ** 31 - 1) })

export const createCredentialBody = z
  .object({
    credential_name: str(1),
    vcenter_host: str(1),
    /** Empty only for a source of the node (`image:<name>` and the like), which needs no login. */
    username: str(),
    password: str(0, 1024),
    datacenter: str(1),
    is_active: z.boolean().default(true),
    is_default: z.boolean().default(false),
  })
  .superRefine((body, check) => {
    if (isNodeSource(body.vcenter_host)) return
    for (const field of ['username', 'password'] as const)
      if (body[field] === '')
        check.addIssue({ code: 'custom', path: [field], message: 'must not be empty', params: { code: 'LENGTH' } })
  })
export const updateCredentialBody = z.object({
  credential_name: str(1).optional(),
  vcenter_host: str(1).optional(),
  username: str().optional(),
  password: str(0, 1024).nullish(),
  datacenter: str(1).optional(),
  is_active: z.boolean().optional(),
  is_default: z.boolean().optional(),
})

export const credential = z.object({
  id: z.int(),
  name: z.string(),
  credential_name: z.string(),
  vcenter_host: z.string(),
  username: z.string(),
  datacenter: z.string(),
  is_active: z.boolean(),
  is_default: z.boolean(),
  has_password: z.boolean(),
  created_at: time,
  updated_at: time,
  created_by: z.string().nullable(),
  last_used: time.nullable(),
  usage_count: z.int(),
})

export const credentialsAnswer = z.object({
  credentials: z.array(credential),
  ...listCounts,
  status: z.literal('success'),
})
export const credentialChangedAnswer = z.object({ credential, status: z.literal('success'), message: z.string() })
export const defaultCredentialAnswer = z.object({ credentials: credential, status: z.literal('success') })
export const deleteCredentialAnswer = z.object({
  status: z.literal('success'),
  message: z.string(),
  affected_vms: z.int(),
})
export const testCredentialAnswer = z.object({
  success: z.boolean(),
  status: z.enum(['success', 'failed']),
  message: z.string(),
  error: z.string().nullable(),
})
