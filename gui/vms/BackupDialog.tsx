/** Back up now: what kind, where to, and what that will do, in plain words, before it begins. */
import { Alert, Button, Group, Modal, Radio, Select, Stack, Text } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call, get, withQuery } from '../api/client.ts'
import { options, useBackups, usePolicies, useRefresh, useRepositories, useVm } from '../api/queries.ts'
import type { StartedBackup } from '../api/types.ts'
import { Problem } from '../components/Problem.tsx'
import { sayDone } from '../components/say.ts'
import { ago, bytes } from '../lib/format.ts'

type Kind = 'full' | 'incremental'

/** What it costs, from what is there: the disks, the newest restore point, the room. */
const usePlan = (contextId: string, repositoryId: string | null) => {
  const vm = useVm(contextId)
  const points = useBackups(
    { vm_context_id: contextId, repository_id: repositoryId, status: 'completed', limit: 30 },
    repositoryId !== null,
  )
  const repositories = useRepositories()
  const newest = points.data?.backups[0]
  const increments = points.data?.backups.filter(({ backup_type }) => backup_type === 'incremental') ?? []
  return {
    isKnown: repositoryId !== null && points.data !== undefined && !points.isPlaceholderData,
    diskBytes: vm.data?.disks.reduce((sum, { capacity_bytes }) => sum + capacity_bytes, 0) ?? 0,
    disks: vm.data?.disks.length ?? 0,
    newest,
    usualIncrement:
      increments.length === 0
        ? null
        : increments.reduce((sum, { bytes_transferred }) => sum + bytes_transferred, 0) / increments.length,
    room: repositories.data?.find(({ id }) => id === repositoryId)?.storage_info ?? null,
  }
}

export const BackupDialog = ({
  contextId,
  vmName,
  onClose,
}: {
  contextId: string
  vmName: string
  onClose: () => void
}) => {
  const repositories = useRepositories()
  const policies = usePolicies()
  const enabled = repositories.data?.filter((row) => row.enabled) ?? []
  // Where the last one went, else the first there is.
  const last = useQuery({
    queryKey: ['backups', 'last', contextId],
    queryFn: ({ signal }) =>
      get<{ backups: { repository_id: string }[] }>(
        withQuery('/backups', { vm_context_id: contextId, limit: 1 }),
        signal,
      ),
  })
  const [chosen, setChosen] = useState<string | null>(null)
  const before = last.data?.backups[0]?.repository_id
  const repositoryId = chosen ?? (enabled.find(({ id }) => id === before) ?? enabled[0])?.id ?? null
  const [kindChosen, setKind] = useState<Kind | null>(null)
  const [policyId, setPolicyId] = useState<string | null>(null)
  const plan = usePlan(contextId, repositoryId)
  const canIncrement = plan.newest !== undefined
  const kind: Kind = kindChosen ?? (canIncrement ? 'incremental' : 'full')
  const refresh = useRefresh()
  const navigate = useNavigate()
  const start = useMutation({
    mutationFn: () =>
      call<StartedBackup>('POST', '/backups', {
        vm_context_id: contextId,
        repository_id: repositoryId,
        backup_type: kind,
        policy_id: policyId,
      }),
    onSuccess: async (backup) => {
      await refresh('backups', 'vms', 'vm', 'summary')
      sayDone(`The ${kind} backup of ${vmName} has begun`)
      onClose()
      void navigate({ to: '/jobs/$id', params: { id: backup.backup_id } })
    },
  })
  const isTight = kind === 'full' && plan.room !== null && plan.diskBytes > plan.room.available_bytes
  return (
    <Modal opened onClose={onClose} title={`Back up ${vmName}`} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          start.mutate()
        }}
      >
        <Stack gap="md">
          {repositories.error ? (
            <Problem error={repositories.error} onRetry={() => void repositories.refetch()} />
          ) : (
            <Select
              label="Repository"
              data={options(enabled)}
              value={repositoryId}
              onChange={(value) => {
                setChosen(value)
                setKind(null)
              }}
              allowDeselect={false}
              description={
                repositories.isSuccess && enabled.length === 0
                  ? 'There is no enabled repository. Add one first.'
                  : undefined
              }
              data-autofocus
            />
          )}
          <Radio.Group label="Kind" value={kind} onChange={(value) => setKind(value as Kind)}>
            <Stack gap="xs" mt={4}>
              <Radio
                value="incremental"
                label="Incremental"
                disabled={!canIncrement}
                description={
                  !canIncrement
                    ? 'There is no restore point in this repository yet that one could build on.'
                    : `Only what has changed since ${ago(plan.newest!.completed_at ?? plan.newest!.created_at)} is read and written${plan.usualIncrement === null ? '' : `; usually about ${bytes(plan.usualIncrement)}`}. The restore point is complete all the same.`
                }
              />
              <Radio
                value="full"
                label="Full"
                description={`All ${plan.disks} disks are read: up to ${bytes(plan.diskBytes)}, less what is empty. It begins a new chain that needs no other restore point.`}
              />
            </Stack>
          </Radio.Group>
          <Select
            label="Policy"
            description="How long it is kept, and where copies go. Without one it is kept until somebody deletes it."
            placeholder="None"
            data={options(policies.data)}
            value={policyId}
            onChange={setPolicyId}
            clearable
          />
          {plan.room && (
            <Text size="sm" c="dimmed">
              {bytes(plan.room.available_bytes)} of {bytes(plan.room.total_bytes)} are free in this repository. The VM
              goes on running.
            </Text>
          )}
          {isTight && (
            <Alert color="orange" title="It may not fit" variant="light">
              The disks are larger than what is free. Empty and zeroed areas take no room; if it does not fit, the
              backup fails and leaves nothing behind.
            </Alert>
          )}
          {start.error && <Problem error={start.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={start.isPending} disabled={repositoryId === null || !plan.isKnown}>
              Start {kind} backup
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
