/** The shapes of the contract, under the names that the pages use. */
import type { z } from 'zod'
import type * as audit from '../../contract/api/audit.ts'
import type * as backups from '../../contract/api/backups.ts'
import type * as copies from '../../contract/api/copies.ts'
import type * as credentials from '../../contract/api/credentials.ts'
import type * as discovery from '../../contract/api/discovery.ts'
import type * as files from '../../contract/api/files.ts'
import type * as health from '../../contract/api/health.ts'
import type * as groups from '../../contract/api/machine-groups.ts'
import type * as notifications from '../../contract/api/notifications.ts'
import type * as policies from '../../contract/api/policies.ts'
import type * as flows from '../../contract/api/protection-flows.ts'
import type * as repositories from '../../contract/api/repositories.ts'
import type * as restore from '../../contract/api/restore.ts'
import type * as schedules from '../../contract/api/schedules.ts'
import type * as users from '../../contract/api/users.ts'
import type * as vms from '../../contract/api/vm-contexts.ts'

export type FoundFiles = z.infer<typeof files.searchAnswer>
export type FileHistory = z.infer<typeof files.historyAnswer>
export type Differences = z.infer<typeof files.diffAnswer>
export type { Examination } from '../../contract/api/doctor.ts'
export type { Entry, Mount, Partition, Secret } from '../../contract/api/restore.ts'
export type { Summary } from '../../contract/api/summary.ts'

export type VmList = z.infer<typeof vms.vmContextsAnswer>
export type VmRow = VmList['vm_contexts'][number]
export type VmDetail = z.infer<typeof vms.vmContextAnswer>
export type VmDisk = z.infer<typeof vms.vmDisk>
export type Preview = z.infer<typeof discovery.previewAnswer>
export type AddedVms = z.infer<typeof discovery.addVmsAnswer>
export type Backup = backups.Backup
export type BackupList = z.infer<typeof backups.listAnswer>
export type BackupDetail = z.infer<typeof backups.detailAnswer>
export type StartedBackup = z.infer<typeof backups.startAnswer>
export type Copy = z.infer<typeof copies.copy>
export type MountList = z.infer<typeof restore.mountsAnswer>
export type Access = z.infer<typeof restore.accessAnswer>
export type Listing = z.infer<typeof restore.filesAnswer>
export type FileDetails = z.infer<typeof restore.fileInfoAnswer>
export type Repository = z.infer<typeof repositories.repository>
export type RepositoryList = z.infer<typeof repositories.repositoriesAnswer>
export type Policy = z.infer<typeof policies.policy>
export type Retention = z.infer<typeof policies.retentionAnswer>
export type Schedule = z.infer<typeof schedules.schedule>
export type ScheduleList = z.infer<typeof schedules.schedulesAnswer>
export type ScheduleRuns = z.infer<typeof schedules.scheduleExecutionsAnswer>
export type Group = z.infer<typeof groups.group>
export type GroupList = z.infer<typeof groups.groupsAnswer>
export type GroupDetail = z.infer<typeof groups.groupDetailAnswer>
export type Flow = z.infer<typeof flows.flow>
export type FlowList = z.infer<typeof flows.flowsAnswer>
export type FlowRuns = z.infer<typeof flows.executionsAnswer>
export type Execution = z.infer<typeof flows.execution>
export type Credential = z.infer<typeof credentials.credential>
export type CredentialList = z.infer<typeof credentials.credentialsAnswer>
export type User = z.infer<typeof users.managedUser>
export type ApiToken = z.infer<typeof users.apiToken>
export type AuditPage = z.infer<typeof audit.auditAnswer>
export type Notification = z.infer<typeof notifications.notification>
export type Deliveries = z.infer<typeof notifications.deliveriesAnswer>
export type Health = z.infer<typeof health.healthAnswer>
export type DebugHealth = z.infer<typeof health.debugHealthAnswer>
