/** What monitoring is told, in Prometheus' text format; names and units by its conventions. */
import { Gauge, Registry } from 'prom-client'
import { countByState, countUnprotectedVms, lastGoodBackups } from '../db/queries/metrics.ts'
import type { Env } from '../runtime/bindings/index.ts'

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

type Labels = Record<string, string>
/** Figures of one scrape: made anew each time, since the database alone knows them. */
const gaugesOf = (registry: Registry) => (name: string, help: string, samples: [value: number, labels?: Labels][]) => {
  const labelNames = Object.keys(samples[0]?.[1] ?? {})
  const gauge = new Gauge({ name: `sendense_${name}`, help, labelNames, registers: [registry] })
  for (const [value, labels = {}] of samples) gauge.set(labels, value)
}

const seconds = (at: Date) => at.getTime() / 1000
const verifyStates = ['unverified', 'verified', 'damaged'] as const
const activeStates = ['started', 'in_progress', 'stalled'] as const

export const renderMetrics = async ({ DB, CLOCK, SETTINGS }: Env<'DB' | 'CLOCK' | 'SETTINGS'>): Promise<string> => {
  const registry = new Registry()
  const gauge = gaugesOf(registry)
  const [vms, unprotected, counted] = await Promise.all([
    lastGoodBackups(DB.orm),
    countUnprotectedVms(DB.orm),
    countByState(DB.orm),
  ])
  const now = seconds(CLOCK.now())
  gauge('build_info', 'Version of the hub', [[1, { version: SETTINGS.version }]])

  const labelsOf = ({ vmName, vcenterHost }: (typeof vms)[number]) => ({ vm: vmName, vcenter: vcenterHost })
  const good = vms.flatMap((vm) => (vm.completedAt === null ? [] : [{ ...vm, completedAt: vm.completedAt }]))
  gauge('vms', 'Managed VMs', [[vms.length]])
  gauge('vms_without_backup', 'Managed VMs without any completed backup', [[vms.length - good.length]])
  gauge('vms_without_flow', 'Managed VMs that no enabled flow protects', [[unprotected]])
  gauge(
    'vm_last_good_backup_timestamp_seconds',
    'When the last completed backup of a VM was completed',
    good.map((vm) => [seconds(vm.completedAt), labelsOf(vm)]),
  )
  gauge(
    'vm_last_good_backup_age_seconds',
    'How long ago that is',
    good.map((vm) => [Math.max(0, now - seconds(vm.completedAt)), labelsOf(vm)]),
  )
  gauge(
    'vm_last_good_backup_size_bytes',
    'What the last completed backup of a VM takes in its repository',
    good.map((vm) => [vm.storedBytes, labelsOf(vm)]),
  )
  gauge(
    'vm_last_good_backup_duration_seconds',
    'How long the last completed backup of a VM took',
    good.map((vm) => [vm.startedAt === null ? 0 : seconds(vm.completedAt) - seconds(vm.startedAt), labelsOf(vm)]),
  )

  const backups = (is: (row: (typeof counted.backups)[number]) => boolean) =>
    counted.backups.filter(is).reduce((total, { rows }) => total + rows, 0)
  gauge(
    'backup_jobs_active',
    'Backups that run, by status',
    activeStates.map((status) => [backups((row) => row.status === status), { status }]),
  )
  gauge('backups_failed', 'Backups on record that failed', [[backups(({ status }) => status === 'failed')]])
  gauge(
    'restore_points',
    'Completed backups, by repository and by what their last check found',
    counted.repositories.flatMap(({ name }) =>
      verifyStates.map((state): [number, Labels] => [
        backups((row) => row.status === 'completed' && row.repository === name && row.verifyState === state),
        { repository: name, verify_state: state },
      ]),
    ),
  )
  gauge(
    'backup_copies',
    'Copies of backups in other repositories, by status',
    counted.copies.map(({ repository, status, rows }) => [rows, { repository, status }]),
  )
  gauge(
    'flow_last_execution_success',
    'Whether the last run of an enabled flow that has ended completed all of its backups',
    counted.flows
      .filter(({ status }) => status !== 'pending' && status !== 'running')
      .map(({ name, status }) => [Number(status === 'success'), { flow: name }]),
  )
  gauge(
    'schedule_executions',
    'Runs of schedules on record, by status',
    counted.runs.map(({ status, rows }) => [rows, { status }]),
  )

  const repositories = (name: string, help: string, value: (row: (typeof counted.repositories)[number]) => number) =>
    gauge(
      `repository_${name}`,
      help,
      counted.repositories.map((row) => [value(row), { repository: row.name }]),
    )
  repositories('enabled', 'Whether a repository is enabled', ({ enabled }) => Number(enabled))
  repositories('size_bytes', 'Capacity of a repository as last measured', ({ totalSizeBytes }) => totalSizeBytes)
  repositories('used_bytes', 'What is used of a repository', ({ usedSizeBytes }) => usedSizeBytes)
  repositories('available_bytes', 'What is free in a repository', ({ availableSizeBytes }) => availableSizeBytes)
  repositories('last_check_timestamp_seconds', 'When a repository was measured last; 0: never', ({ lastCheckAt }) =>
    lastCheckAt === null ? 0 : seconds(lastCheckAt),
  )
  gauge('restore_mounts', 'Mounts', [[counted.mounts]])
  gauge('restore_mounts_limit', 'Mounts that there can be at once', [[SETTINGS.restoreSlots]])
  const { first, last } = SETTINGS.nbdPorts
  gauge('nbd_ports', 'Ports for NBD exports', [[last - first + 1]])
  gauge('nbd_ports_allocated', 'Ports that are held', [[counted.ports]])
  return registry.metrics()
}
