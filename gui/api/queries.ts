/** What the pages ask for, by the first word of its key: live events and changes name these words to have it asked for again. */
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'
import { get, type Query, withQuery } from './client.ts'
import type * as types from './types.ts'

const minute = 60_000

export const useSummary = () =>
  useQuery({
    queryKey: ['summary'],
    queryFn: ({ signal }) =>
      get<types.Summary>(withQuery('/summary', { utc_offset_minutes: -new Date().getTimezoneOffset() }), signal),
    refetchInterval: minute,
  })
export const useVms = (query: Query) =>
  useQuery({
    queryKey: ['vms', query],
    queryFn: ({ signal }) => get<types.VmList>(withQuery('/vm-contexts', query), signal),
    placeholderData: keepPreviousData,
    refetchInterval: minute,
  })
export const useVm = (id: string, isOn = true) =>
  useQuery({
    enabled: isOn,
    queryKey: ['vm', id],
    queryFn: ({ signal }) => get<types.VmDetail>(`/vm-contexts/by-id/${encodeURIComponent(id)}`, signal),
  })
export const useBackups = (query: Query, isOn = true) =>
  useQuery({
    queryKey: ['backups', query],
    queryFn: ({ signal }) => get<types.BackupList>(withQuery('/backups', query), signal),
    placeholderData: keepPreviousData,
    enabled: isOn,
  })
export const useBackup = (id: string, isOn = true) =>
  useQuery({
    queryKey: ['backup', id],
    queryFn: ({ signal }) => get<types.BackupDetail>(`/backups/${encodeURIComponent(id)}`, signal),
    enabled: isOn,
    // Disks, checks and heals are not told as events.
    refetchInterval: ({ state: { data } }) =>
      data && (['started', 'in_progress', 'stalled'].includes(data.status) || data.verification || data.heal)
        ? 2000
        : false,
  })
export const useCopies = (id: string) =>
  useQuery({
    queryKey: ['backup', id, 'copies'],
    queryFn: ({ signal }) => get<types.Copy[]>(`/backups/${encodeURIComponent(id)}/copies`, signal),
    refetchInterval: ({ state: { data } }) =>
      data?.some(({ status }) => ['pending', 'copying', 'verifying'].includes(status)) ? 2000 : false,
  })
export const useMounts = () =>
  useQuery({
    queryKey: ['mounts'],
    queryFn: ({ signal }) => get<types.MountList>('/restore/mounts', signal),
    refetchInterval: 15_000,
  })
export const useMount = (id: string) =>
  useQuery({
    queryKey: ['mounts', id],
    queryFn: ({ signal }) => get<types.Mount>(`/restore/${encodeURIComponent(id)}`, signal),
    refetchInterval: ({ state: { data } }) => (data?.status === 'mounting' ? 1000 : 15_000),
  })
export const useRepositories = (isOn = true) =>
  useQuery({
    queryKey: ['repositories'],
    queryFn: ({ signal }) => get<types.RepositoryList>('/repositories', signal),
    select: ({ repositories }) => repositories,
    enabled: isOn,
  })
export const usePolicies = () =>
  useQuery({ queryKey: ['policies'], queryFn: ({ signal }) => get<types.Policy[]>('/policies', signal) })
export const useSchedules = () =>
  useQuery({
    queryKey: ['schedules'],
    queryFn: ({ signal }) => get<types.ScheduleList>('/schedules', signal),
    select: ({ schedules }) => schedules,
  })
export const useGroups = () =>
  useQuery({
    queryKey: ['groups'],
    queryFn: ({ signal }) => get<types.GroupList>('/machine-groups', signal),
    select: ({ groups }) => groups,
  })
export const useGroup = (id: string) =>
  useQuery({
    queryKey: ['groups', id],
    queryFn: ({ signal }) => get<types.GroupDetail>(`/machine-groups/${encodeURIComponent(id)}`, signal),
  })
export const useFlows = () =>
  useQuery({
    queryKey: ['flows'],
    queryFn: ({ signal }) => get<types.FlowList>('/protection-flows', signal),
    select: ({ flows }) => flows,
  })
export const useFlow = (id: string) =>
  useQuery({
    queryKey: ['flow', id],
    queryFn: ({ signal }) => get<types.Flow>(`/protection-flows/${encodeURIComponent(id)}`, signal),
  })
export const useCredentials = (isOn = true) =>
  useQuery({
    queryKey: ['credentials'],
    queryFn: ({ signal }) => get<types.CredentialList>('/vmware-credentials', signal),
    select: ({ credentials }) => credentials,
    enabled: isOn,
  })
export const useHealth = () =>
  useQuery({
    queryKey: ['health'],
    queryFn: ({ signal }) => get<types.Health>('/health', signal),
    refetchInterval: minute / 2,
  })

/** @returns asks again for all that these words name */
export const useRefresh = () => {
  const client = useQueryClient()
  return useCallback(
    (...keys: string[]) => Promise.all(keys.map((key) => client.invalidateQueries({ queryKey: [key] }))),
    [client],
  )
}
export const options = <T extends { id: string | number; name: string }>(rows: readonly T[] | undefined) =>
  (rows ?? []).map(({ id, name }) => ({ value: String(id), label: name }))
