import { Text } from '@mantine/core'
import { call } from '../api/client.ts'
import { options, useRefresh, useSchedules } from '../api/queries.ts'
import type { Schedule } from '../api/types.ts'
import { type Field, FormDialog, type Values } from '../components/FormDialog.tsx'
import { cronInWords } from '../lib/cron.ts'

const zones = Intl.supportedValuesOf('timeZone')
const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone
const isCron = ({ schedule_type }: Values) => schedule_type === 'cron'
const isChain = ({ schedule_type }: Values) => schedule_type === 'chain'

export const ScheduleDialog = ({ schedule, onClose }: { schedule: Schedule | null; onClose: () => void }) => {
  const schedules = useSchedules()
  const refresh = useRefresh()
  const fields: Field[] = [
    { name: 'name', label: 'Name', required: true },
    { name: 'description', label: 'Description', kind: 'textarea' },
    {
      name: 'schedule_type',
      label: 'Runs',
      kind: 'select',
      required: true,
      options: [
        { value: 'cron', label: 'At certain times' },
        { value: 'chain', label: 'After another schedule' },
      ],
    },
    {
      name: 'cron_expression',
      label: 'Times (cron)',
      required: true,
      when: isCron,
      description: 'Minute, hour, day of the month, month, day of the week: 0 2 * * * is each night at two.',
      note: (value) => {
        const words = cronInWords(String(value ?? ''))
        return (
          <Text size="sm" mt={4} c={words ? undefined : 'dimmed'} role="status">
            {words ?? 'This is no cron expression yet.'}
          </Text>
        )
      },
    },
    {
      name: 'timezone',
      label: 'Time zone',
      kind: 'select',
      required: true,
      when: isCron,
      options: [...new Set(['UTC', ownZone, ...zones])].map((zone) => ({ value: zone, label: zone })),
    },
    {
      name: 'chain_parent_schedule_id',
      label: 'After',
      kind: 'select',
      required: true,
      when: isChain,
      options: options(schedules.data?.filter(({ id }) => id !== schedule?.id)),
    },
    { name: 'chain_delay_minutes', label: 'Minutes after its end', kind: 'number', min: 0, max: 10_080, when: isChain },
    {
      name: 'replication_type',
      label: 'Kind of backup',
      kind: 'select',
      required: true,
      options: [
        { value: 'auto', label: 'Incremental where one can be, else full' },
        { value: 'incremental', label: 'Incremental' },
        { value: 'full', label: 'Full' },
      ],
    },
    { name: 'max_concurrent_jobs', label: 'Backups at once, at most', kind: 'number', min: 1, max: 100 },
    { name: 'retry_attempts', label: 'Tries after a failure', kind: 'number', min: 0, max: 10 },
    { name: 'retry_delay_minutes', label: 'Minutes between tries', kind: 'number', min: 0, max: 1440 },
    { name: 'skip_if_running', label: 'Leave a run out while the last one still goes on', kind: 'switch' },
    { name: 'enabled', label: 'Enabled', kind: 'switch' },
  ]
  const initial: Values = schedule
    ? Object.fromEntries(fields.map(({ name }) => [name, schedule[name as keyof Schedule] as Values[string]]))
    : {
        name: '',
        description: '',
        schedule_type: 'cron',
        cron_expression: '0 2 * * *',
        timezone: ownZone,
        chain_parent_schedule_id: null,
        chain_delay_minutes: 0,
        replication_type: 'auto',
        max_concurrent_jobs: 2,
        retry_attempts: 3,
        retry_delay_minutes: 30,
        skip_if_running: true,
        enabled: true,
      }
  return (
    <FormDialog
      title={schedule ? `Edit ${schedule.name}` : 'New schedule'}
      action={schedule ? 'Save' : 'Create'}
      fields={fields}
      initial={initial}
      submit={async (values) => {
        const body = { ...values, description: values.description || null }
        if (schedule) await call('PUT', `/schedules/${schedule.id}`, body)
        else await call('POST', '/schedules', body)
        await refresh('schedules', 'flows')
        return schedule ? 'Saved' : `The schedule ${values.name} is there`
      }}
      onClose={onClose}
    />
  )
}
