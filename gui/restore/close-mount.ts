import { call } from '../api/client.ts'
import type { Mount } from '../api/types.ts'

/** @returns what was done, in words */
export const closeMount = async (mount: Pick<Mount, 'mount_id' | 'vm_name'>): Promise<string> => {
  await call('DELETE', `/restore/${encodeURIComponent(mount.mount_id)}`)
  return `The mount of ${mount.vm_name} is closed`
}
