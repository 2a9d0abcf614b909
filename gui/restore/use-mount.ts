/** Opening a restore point: one disk of it, or the whole machine. */
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ApiError, call, get } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import type { Mount, MountList, Partition, Secret } from '../api/types.ts'
import { sayProblem } from '../components/say.ts'

export type Target = { backupId: string /** Undefined: all of them together. */; diskIndex: number | undefined }

const isOf = (mount: Mount, { backupId, diskIndex }: Target) =>
  mount.backup_id === backupId &&
  mount.status === 'mounted' &&
  (diskIndex === undefined ? mount.all_disks : !mount.all_disks && mount.disk_index === diskIndex)

export const openMount = ({ backupId, diskIndex }: Target, secrets: Secret[] = []): Promise<Mount> =>
  call<Mount>('POST', '/restore/mount', {
    backup_id: backupId,
    ...(diskIndex === undefined ? { all_disks: true } : { disk_index: diskIndex }),
    ...(secrets.length > 0 ? { secrets } : {}),
  })

/** Whether a refusal says that encrypted volumes are all that there is. */
export const isLocked = (error: unknown): boolean =>
  error instanceof ApiError &&
  error.code === 'NO_MOUNTABLE_FILESYSTEM' &&
  ((error.problem as { partitions?: Partition[] }).partitions ?? []).some(({ locked }) => locked)

/** Opens it and goes there; what is open already is gone to. `locked`: what a password is asked for. */
export const useMountTarget = () => {
  const navigate = useNavigate()
  const refresh = useRefresh()
  const [locked, setLocked] = useState<Target | null>(null)
  const goTo = async ({ mount_id }: { mount_id: string }) => {
    await refresh('mounts')
    void navigate({ to: '/restore/$id', params: { id: mount_id } })
  }
  const mutation = useMutation({
    mutationFn: async (target: Target) => {
      const { mounts } = await get<MountList>('/restore/mounts')
      return mounts.find((mount) => isOf(mount, target)) ?? openMount(target)
    },
    onSuccess: goTo,
    onError: (error, target) => (isLocked(error) ? setLocked(target) : sayProblem(error)),
  })
  return { ...mutation, goTo, locked, closeLocked: () => setLocked(null) }
}
