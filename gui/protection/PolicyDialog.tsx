/** How long restore points are kept, and where copies go. */
import { ActionIcon, Button, Fieldset, Group, Select, Stack, Switch, Text } from '@mantine/core'
import { IconPlus, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { options, useRefresh, useRepositories } from '../api/queries.ts'
import type { Policy } from '../api/types.ts'
import { FormDialog } from '../components/FormDialog.tsx'
import { type Keep, KeepCounts, keepCounts, keepNothing } from './KeepCounts.tsx'

type Rule = {
  key: number
  destination_repository_id: string | null
  copy_mode: string
  verify_after_copy: boolean
  enabled: boolean
}

export const PolicyDialog = ({ policy, onClose }: { policy: Policy | null; onClose: () => void }) => {
  const repositories = useRepositories()
  const refresh = useRefresh()
  const [keep, setKeep] = useState<Keep>(policy?.keep ?? keepNothing)
  const [rules, setRules] = useState<Rule[]>(
    (policy?.copy_rules ?? []).map(({ destination_repository_id, copy_mode, verify_after_copy, enabled }, key) => ({
      key,
      destination_repository_id,
      copy_mode,
      verify_after_copy,
      enabled,
    })),
  )
  const change = (key: number, next: Partial<Rule>) =>
    setRules((before) => before.map((rule) => (rule.key === key ? { ...rule, ...next } : rule)))
  const hasCounts = keepCounts.some((name) => keep[name] > 0)
  return (
    <FormDialog
      // What is filled in beforehand is known only then.
      key={String(repositories.isSuccess)}
      title={policy ? `Edit ${policy.name}` : 'New policy'}
      action={policy ? 'Save' : 'Create'}
      fields={[
        { name: 'name', label: 'Name', required: true },
        {
          name: 'primary_repository_id',
          label: 'Primary repository',
          kind: 'select',
          required: true,
          options: options(repositories.data),
        },
        {
          name: 'retention_days',
          label: 'Days',
          kind: 'number',
          min: 0,
          max: 3650,
          description:
            'Every restore point is kept at least so long. 0: no days; without any count below, all is kept for ever.',
        },
        {
          name: 'index_files',
          label: 'Files can be searched',
          kind: 'switch',
          description: 'Each backup is walked through once when it is completed.',
        },
        {
          name: 'index_digests',
          label: 'Files can be found by their SHA-256',
          kind: 'switch',
          description: 'What is new in a backup is read once, too. Takes as long as downloading it.',
        },
        { name: 'enabled', label: 'Enabled', kind: 'switch' },
      ]}
      initial={
        policy
          ? {
              name: policy.name,
              primary_repository_id: policy.primary_repository_id,
              retention_days: policy.retention_days,
              index_files: policy.index_files,
              index_digests: policy.index_digests,
              enabled: policy.enabled,
            }
          : {
              name: '',
              primary_repository_id: repositories.data?.[0]?.id ?? null,
              retention_days: 30,
              index_files: true,
              index_digests: false,
              enabled: true,
            }
      }
      submit={async (values) => {
        const body = {
          ...values,
          keep: hasCounts ? keep : null,
          copy_rules: rules.map(({ key: _, ...rule }, at) => ({ ...rule, priority: at + 1 })),
        }
        if (policy) await call('PUT', `/policies/${policy.id}`, body)
        else await call('POST', '/policies', body)
        await refresh('policies', 'flows')
        return policy ? 'Saved' : `The policy ${values.name} is there`
      }}
      onClose={onClose}
    >
      <Fieldset legend="Besides the days, keep the newest of">
        <KeepCounts keep={keep} onChange={setKeep} />
        <Text size="xs" c="dimmed" mt="xs">
          As with restic and Proxmox: 7 daily are the newest of each of the last seven days that have one.
        </Text>
      </Fieldset>
      <Fieldset legend="Copies in other repositories">
        <Stack gap="sm">
          {rules.length === 0 && (
            <Text size="sm" c="dimmed">
              None. A copy elsewhere is what saves you when the repository itself is lost.
            </Text>
          )}
          {rules.map((rule, at) => (
            <Group key={rule.key} align="flex-end" gap="sm">
              <Select
                label={`Copy ${at + 1} to`}
                data={options(repositories.data)}
                value={rule.destination_repository_id}
                onChange={(value) => change(rule.key, { destination_repository_id: value })}
                required
                style={{ flex: '1 1 10rem' }}
              />
              <Select
                label="When"
                data={[
                  { value: 'immediate', label: 'At once' },
                  { value: 'scheduled', label: 'Each night' },
                  { value: 'manual', label: 'By hand' },
                ]}
                value={rule.copy_mode}
                onChange={(value) => change(rule.key, { copy_mode: value ?? 'immediate' })}
                allowDeselect={false}
                w={120}
              />
              <Switch
                label="Check"
                mb={8}
                checked={rule.verify_after_copy}
                onChange={(event) => change(rule.key, { verify_after_copy: event.currentTarget.checked })}
              />
              <ActionIcon
                variant="subtle"
                color="gray"
                size="lg"
                mb={2}
                aria-label={`Remove copy ${at + 1}`}
                onClick={() => setRules((before) => before.filter(({ key }) => key !== rule.key))}
              >
                <IconTrash size={18} aria-hidden />
              </ActionIcon>
            </Group>
          ))}
          <Button
            variant="default"
            size="xs"
            leftSection={<IconPlus size={14} aria-hidden />}
            style={{ alignSelf: 'flex-start' }}
            onClick={() =>
              setRules((before) => [
                ...before,
                {
                  key: Math.max(-1, ...before.map(({ key }) => key)) + 1,
                  destination_repository_id: null,
                  copy_mode: 'immediate',
                  verify_after_copy: true,
                  enabled: true,
                },
              ])
            }
          >
            Add a copy
          </Button>
        </Stack>
      </Fieldset>
    </FormDialog>
  )
}
