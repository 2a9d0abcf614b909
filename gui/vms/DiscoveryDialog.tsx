/** Finds the VMs of a source and takes those that are picked under the hub's care. */
import {
  Anchor,
  Badge,
  Button,
  Checkbox,
  Group,
  Modal,
  ScrollArea,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
} from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { options, useCredentials, useRefresh } from '../api/queries.ts'
import type { AddedVms, Preview } from '../api/types.ts'
import { Empty } from '../components/Empty.tsx'
import { Problem } from '../components/Problem.tsx'
import { sayDone } from '../components/say.ts'
import { bytes, count } from '../lib/format.ts'

export const DiscoveryDialog = ({ onClose }: { onClose: () => void }) => {
  const credentials = useCredentials()
  const usable = credentials.data?.filter(({ is_active }) => is_active) ?? []
  const [chosen, setChosen] = useState<string | null>(null)
  const credentialId = chosen ?? String((usable.find(({ is_default }) => is_default) ?? usable[0])?.id ?? '')
  const [filter, setFilter] = useState('')
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const refresh = useRefresh()

  const find = useMutation({
    mutationFn: () => call<Preview>('POST', '/discovery/preview', { credential_id: Number(credentialId) }),
    onSuccess: () => setPicked(new Set()),
  })
  const add = useMutation({
    mutationFn: () =>
      call<AddedVms>('POST', '/discovery/add-vms', { credential_id: Number(credentialId), vm_names: [...picked] }),
    onSuccess: async (answer) => {
      await refresh('vms', 'summary')
      if (answer.vms_failed > 0) return
      sayDone(answer.message)
      onClose()
    },
  })
  const found = find.data?.vms.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase())) ?? []
  const fresh = found.filter(({ existing }) => !existing)
  const failed = add.data?.processed_vms.filter(({ success, skipped }) => !success && !skipped) ?? []
  const pick = (name: string, isOn: boolean) => {
    const next = new Set(picked)
    if (isOn) next.add(name)
    else next.delete(name)
    setPicked(next)
  }
  return (
    <Modal opened onClose={onClose} title="Add virtual machines" size="xl" closeOnClickOutside={false}>
      <Stack gap="md">
        {credentials.isSuccess && usable.length === 0 ? (
          <Empty
            title="No credential yet"
            text="A credential says which vCenter, or which source beside the hub, the machines are found in."
          >
            <Button component={Link} to="/credentials" {...({ search: { new: '1' } } as object)}>
              Add a credential
            </Button>
          </Empty>
        ) : (
          <Group align="flex-end" gap="sm">
            <Select
              label="Credential"
              data={options(usable)}
              value={credentialId || null}
              onChange={(value) => {
                setChosen(value)
                find.reset()
              }}
              allowDeselect={false}
              style={{ flex: 1 }}
              data-autofocus
            />
            <Button onClick={() => find.mutate()} loading={find.isPending} disabled={credentialId === ''}>
              Find
            </Button>
          </Group>
        )}
        {credentials.error && <Problem error={credentials.error} onRetry={() => void credentials.refetch()} />}
        {find.error && <Problem error={find.error} onRetry={() => find.mutate()} />}
        {find.data && (
          <>
            <Group justify="space-between">
              <TextInput
                aria-label="Filter by name"
                placeholder="Filter by name"
                value={filter}
                onChange={(event) => setFilter(event.currentTarget.value)}
              />
              <Text size="sm" c="dimmed">
                {count(find.data.total_discovered)} found, {count(find.data.new_vms)} of them new
              </Text>
            </Group>
            <ScrollArea.Autosize mah={380} type="auto" viewportProps={{ tabIndex: 0, 'aria-label': 'Found machines' }}>
              <Table stickyHeader verticalSpacing={6}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th w={40}>
                      <Checkbox
                        aria-label="Select all new machines"
                        checked={fresh.length > 0 && fresh.every(({ name }) => picked.has(name))}
                        indeterminate={picked.size > 0 && !fresh.every(({ name }) => picked.has(name))}
                        disabled={fresh.length === 0}
                        onChange={(event) =>
                          setPicked(new Set(event.currentTarget.checked ? fresh.map(({ name }) => name) : []))
                        }
                      />
                    </Table.Th>
                    <Table.Th>Name</Table.Th>
                    <Table.Th visibleFrom="sm">Guest</Table.Th>
                    <Table.Th ta="end">Disks</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {found.slice(0, 1000).map((vm) => (
                    <Table.Tr key={vm.id}>
                      <Table.Td>
                        <Checkbox
                          aria-label={`Select ${vm.name}`}
                          checked={vm.existing || picked.has(vm.name)}
                          disabled={vm.existing}
                          onChange={(event) => pick(vm.name, event.currentTarget.checked)}
                        />
                      </Table.Td>
                      <Table.Td style={{ overflowWrap: 'anywhere' }}>
                        <Group gap="xs">
                          <bdi>{vm.name}</bdi>
                          {vm.existing && (
                            <Badge color="gray.7" size="sm" tt="none">
                              managed already
                            </Badge>
                          )}
                        </Group>
                      </Table.Td>
                      <Table.Td visibleFrom="sm">{vm.guest_os ?? '–'}</Table.Td>
                      <Table.Td ta="end" style={{ whiteSpace: 'nowrap' }}>
                        {vm.disks.length} ×{' '}
                        {bytes(vm.disks.reduce((sum, { capacity_bytes }) => sum + capacity_bytes, 0))}
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
              {found.length === 0 && (
                <Text c="dimmed" ta="center" py="md">
                  No machine fits.
                </Text>
              )}
            </ScrollArea.Autosize>
          </>
        )}
        {add.error && <Problem error={add.error} onRetry={() => add.mutate()} />}
        {failed.map(({ vm_name, error }) => (
          <Text key={vm_name} size="sm" c="red.9" role="alert">
            {vm_name}: {error}
          </Text>
        ))}
        <Group justify="space-between">
          <Anchor component={Link} to="/credentials" size="sm">
            Credentials
          </Anchor>
          <Group>
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button disabled={picked.size === 0} loading={add.isPending} onClick={() => add.mutate()}>
              Add {picked.size > 0 ? count(picked.size) : ''}
            </Button>
          </Group>
        </Group>
      </Stack>
    </Modal>
  )
}
