CREATE TABLE IF NOT EXISTS `backup_chains` (
	`id` varchar(128) NOT NULL,
	`vm_context_id` varchar(64) NOT NULL,
	`disk_id` int NOT NULL,
	`full_backup_id` varchar(64) NOT NULL DEFAULT '',
	`latest_backup_id` varchar(64) NOT NULL DEFAULT '',
	`total_backups` int NOT NULL DEFAULT 0,
	`total_size_bytes` bigint NOT NULL DEFAULT 0,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_chains_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_chains_disk_unique` UNIQUE(`vm_context_id`,`disk_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_copies` (
	`id` varchar(64) NOT NULL,
	`source_backup_id` varchar(64) NOT NULL,
	`repository_id` varchar(64) NOT NULL,
	`copy_rule_id` varchar(64),
	`status` enum('pending','copying','verifying','completed','failed') NOT NULL DEFAULT 'pending',
	`file_path` varchar(512),
	`size_bytes` bigint NOT NULL DEFAULT 0,
	`copy_started_at` timestamp(3),
	`copy_completed_at` timestamp(3),
	`verified_at` timestamp(3),
	`verification_status` enum('pending','passed','failed') NOT NULL DEFAULT 'pending',
	`error_message` text,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_copies_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_copies_target_unique` UNIQUE(`source_backup_id`,`repository_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_copy_rules` (
	`id` varchar(64) NOT NULL,
	`policy_id` varchar(64) NOT NULL,
	`destination_repository_id` varchar(64) NOT NULL,
	`copy_mode` enum('immediate','scheduled','manual') NOT NULL DEFAULT 'immediate',
	`priority` int NOT NULL,
	`enabled` boolean NOT NULL DEFAULT true,
	`verify_after_copy` boolean NOT NULL DEFAULT true,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_copy_rules_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_disks` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`backup_job_id` varchar(64) NOT NULL,
	`vm_backup_context_id` varchar(64) NOT NULL,
	`disk_index` int NOT NULL,
	`vmware_disk_key` int NOT NULL,
	`size_gb` decimal(14,3) NOT NULL,
	`capacity_bytes` bigint NOT NULL DEFAULT 0,
	`label` varchar(255),
	`original_path` varchar(1024),
	`unit_number` int,
	`disk_change_id` varchar(255),
	`qcow2_path` varchar(512),
	`file_base` varchar(191) NOT NULL,
	`export_name` varchar(63),
	`stored_bytes` bigint NOT NULL DEFAULT 0,
	`bytes_transferred` bigint NOT NULL DEFAULT 0,
	`total_bytes` bigint NOT NULL DEFAULT 0,
	`progress_percent` decimal(5,2) NOT NULL DEFAULT 0,
	`status` enum('pending','in_progress','completed','failed','cancelled') NOT NULL DEFAULT 'pending',
	`error_message` text,
	`completed_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_disks_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_disks_index_unique` UNIQUE(`backup_job_id`,`disk_index`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_jobs` (
	`id` varchar(64) NOT NULL,
	`vm_backup_context_id` varchar(64) NOT NULL,
	`vm_context_id` varchar(64),
	`repository_id` varchar(64) NOT NULL,
	`policy_id` varchar(64),
	`parent_backup_id` varchar(64),
	`vm_name` varchar(255) NOT NULL,
	`backup_type` enum('full','incremental','differential') NOT NULL,
	`status` enum('started','in_progress','completed','failed','cancelled','stalled') NOT NULL DEFAULT 'started',
	`active_slot` varchar(64),
	`cleanup_pending` boolean NOT NULL DEFAULT false,
	`repository_path` varchar(512) NOT NULL,
	`bytes_transferred` bigint NOT NULL DEFAULT 0,
	`total_bytes` bigint NOT NULL DEFAULT 0,
	`compression_enabled` boolean NOT NULL DEFAULT true,
	`error_message` text,
	`current_phase` varchar(50) NOT NULL DEFAULT 'pending',
	`transfer_speed_bps` bigint NOT NULL DEFAULT 0,
	`eta_seconds` int,
	`progress_percent` decimal(5,2) NOT NULL DEFAULT 0,
	`last_telemetry_at` timestamp(3),
	`last_telemetry_sent_at` timestamp(3),
	`tags` json,
	`disk_id` int,
	`change_id` varchar(255),
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_jobs_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_jobs_active_slot_unique` UNIQUE(`active_slot`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_policies` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`enabled` boolean NOT NULL DEFAULT true,
	`primary_repository_id` varchar(64),
	`retention_days` int NOT NULL DEFAULT 30,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_policies_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_policies_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `backup_repositories` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`repository_type` enum('local','nfs','cifs','smb','s3','azure') NOT NULL,
	`enabled` boolean NOT NULL DEFAULT true,
	`config` json NOT NULL,
	`is_immutable` boolean NOT NULL DEFAULT false,
	`immutable_config` json,
	`min_retention_days` int NOT NULL DEFAULT 0,
	`total_size_bytes` bigint NOT NULL DEFAULT 0,
	`used_size_bytes` bigint NOT NULL DEFAULT 0,
	`available_size_bytes` bigint NOT NULL DEFAULT 0,
	`last_check_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_repositories_id` PRIMARY KEY(`id`),
	CONSTRAINT `backup_repositories_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `cbt_history` (
	`id` int AUTO_INCREMENT NOT NULL,
	`job_id` varchar(191),
	`vm_context_id` varchar(64),
	`disk_id` varchar(64) NOT NULL,
	`change_id` varchar(255) NOT NULL,
	`previous_change_id` varchar(255),
	`sync_type` enum('full','incremental') NOT NULL,
	`blocks_changed` bigint,
	`bytes_transferred` bigint,
	`sync_duration_seconds` int,
	`sync_success` boolean NOT NULL DEFAULT false,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `cbt_history_id` PRIMARY KEY(`id`),
	CONSTRAINT `cbt_history_change_unique` UNIQUE(`job_id`,`disk_id`,`change_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `failover_jobs` (
	`id` int AUTO_INCREMENT NOT NULL,
	`job_id` varchar(191) NOT NULL,
	`vm_context_id` varchar(64),
	`vm_id` varchar(255) NOT NULL,
	`replication_job_id` varchar(191),
	`job_type` enum('live','test') NOT NULL,
	`status` varchar(50) NOT NULL DEFAULT 'pending',
	`source_vm_name` varchar(255),
	`source_vm_spec` json,
	`destination_vm_id` varchar(255),
	`ossea_snapshot_id` varchar(255),
	`linstor_snapshot_name` varchar(255),
	`linstor_config_id` int,
	`network_mappings` json,
	`error_message` text,
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `failover_jobs_id` PRIMARY KEY(`id`),
	CONSTRAINT `failover_jobs_job_unique` UNIQUE(`job_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `job_tracking` (
	`id` varchar(64) NOT NULL,
	`parent_job_id` varchar(64),
	`job_type` varchar(255) NOT NULL,
	`operation` varchar(255) NOT NULL,
	`status` enum('pending','running','completed','failed','cancelled') NOT NULL DEFAULT 'pending',
	`percent_complete` decimal(5,2) NOT NULL DEFAULT 0,
	`cloudstack_job_id` varchar(255),
	`external_job_id` varchar(255),
	`context_id` varchar(64),
	`job_category` varchar(255),
	`metadata` json,
	`error_message` text,
	`owner` varchar(255),
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`canceled_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `job_tracking_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `login_failures` (
	`key` varchar(255) NOT NULL,
	`points` int NOT NULL DEFAULT 0,
	`expire` bigint unsigned,
	CONSTRAINT `login_failures_key` PRIMARY KEY(`key`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `nbd_port_allocations` (
	`port` int NOT NULL,
	`job_id` varchar(191) NOT NULL,
	`export_name` varchar(63) NOT NULL,
	`vm_name` varchar(255),
	`allocated_at` timestamp(3) NOT NULL,
	`expires_at` timestamp(3) NOT NULL,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `nbd_port_allocations_port` PRIMARY KEY(`port`),
	CONSTRAINT `nbd_port_allocations_export_unique` UNIQUE(`export_name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `ossea_configs` (
	`id` int AUTO_INCREMENT NOT NULL,
	`name` varchar(255) NOT NULL,
	`api_url` varchar(512) NOT NULL,
	`api_key` varchar(512) NOT NULL,
	`secret_key` varchar(512) NOT NULL,
	`domain` varchar(255),
	`zone` varchar(255) NOT NULL,
	`template_id` varchar(255),
	`network_id` varchar(255),
	`service_offering_id` varchar(255),
	`disk_offering_id` varchar(255),
	`oma_vm_id` varchar(255),
	`is_active` boolean NOT NULL DEFAULT true,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `ossea_configs_id` PRIMARY KEY(`id`),
	CONSTRAINT `ossea_configs_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `ossea_volumes` (
	`id` int AUTO_INCREMENT NOT NULL,
	`vm_context_id` varchar(64),
	`ossea_config_id` int,
	`volume_id` varchar(191) NOT NULL,
	`volume_name` varchar(255) NOT NULL,
	`size_gb` decimal(14,3) NOT NULL,
	`volume_type` varchar(255),
	`device_path` varchar(255),
	`mount_point` varchar(255),
	`status` varchar(50) NOT NULL DEFAULT 'creating',
	`snapshot_id` varchar(255),
	`snapshot_created_at` timestamp(3),
	`snapshot_status` varchar(50) NOT NULL DEFAULT 'none',
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `ossea_volumes_id` PRIMARY KEY(`id`),
	CONSTRAINT `ossea_volumes_volume_unique` UNIQUE(`volume_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `protection_flows` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`repository_id` varchar(64),
	`policy_id` varchar(64),
	`schedule_id` varchar(64),
	`description` text,
	`flow_type` enum('backup','replication') NOT NULL,
	`target_type` enum('vm','group') NOT NULL,
	`target_id` varchar(64) NOT NULL,
	`destination_type` enum('ossea','vmware','hyperv'),
	`destination_config` json,
	`enabled` boolean NOT NULL DEFAULT true,
	`last_execution_id` varchar(64),
	`last_execution_status` enum('pending','running','success','warning','error','cancelled') NOT NULL DEFAULT 'pending',
	`last_execution_time` timestamp(3),
	`next_execution_time` timestamp(3),
	`total_executions` int NOT NULL DEFAULT 0,
	`successful_executions` int NOT NULL DEFAULT 0,
	`failed_executions` int NOT NULL DEFAULT 0,
	`created_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `protection_flows_id` PRIMARY KEY(`id`),
	CONSTRAINT `protection_flows_name_unique` UNIQUE(`name`),
	CONSTRAINT `protection_flows_backup_repository` CHECK(`flow_type` <> 'backup' or `repository_id` is not null)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `qemu_nbd_processes` (
	`pid` int NOT NULL,
	`port` int NOT NULL,
	`export_name` varchar(63) NOT NULL,
	`qcow2_path` varchar(512) NOT NULL,
	`job_id` varchar(191),
	`disk_index` int,
	`read_only` boolean NOT NULL DEFAULT false,
	`shared_limit` int NOT NULL DEFAULT 10,
	`process_start` varchar(32) NOT NULL,
	`started_at` timestamp(3) NOT NULL,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `qemu_nbd_processes_pid` PRIMARY KEY(`pid`),
	CONSTRAINT `qemu_nbd_processes_port_unique` UNIQUE(`port`),
	CONSTRAINT `qemu_nbd_processes_export_unique` UNIQUE(`export_name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `replication_jobs` (
	`id` varchar(191) NOT NULL,
	`vm_context_id` varchar(64),
	`ossea_config_id` int,
	`schedule_execution_id` varchar(64),
	`vm_group_id` varchar(64),
	`source_vm_id` varchar(255) NOT NULL,
	`source_vm_name` varchar(255) NOT NULL,
	`source_vm_path` varchar(500) NOT NULL,
	`vcenter_host` varchar(255) NOT NULL,
	`datacenter` varchar(255) NOT NULL,
	`replication_type` varchar(50) NOT NULL,
	`target_network` varchar(255),
	`status` varchar(50) NOT NULL DEFAULT 'pending',
	`progress_percent` decimal(5,2) NOT NULL DEFAULT 0,
	`setup_progress_percent` decimal(5,2) NOT NULL DEFAULT 0,
	`current_operation` varchar(255),
	`bytes_transferred` bigint NOT NULL DEFAULT 0,
	`total_bytes` bigint NOT NULL DEFAULT 0,
	`transfer_speed_bps` bigint NOT NULL DEFAULT 0,
	`error_message` text,
	`change_id` varchar(255),
	`previous_change_id` varchar(255),
	`snapshot_id` varchar(255),
	`nbd_port` int,
	`nbd_export_name` varchar(255),
	`target_device` varchar(255),
	`vma_sync_type` varchar(50),
	`vma_current_phase` varchar(50),
	`vma_throughput_mbps` decimal(10,2),
	`vma_eta_seconds` int,
	`vma_last_poll_at` timestamp(3),
	`vma_error_classification` varchar(255),
	`vma_error_details` text,
	`scheduled_by` varchar(255),
	`last_telemetry_at` timestamp(3),
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `replication_jobs_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `replication_schedules` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`chain_parent_schedule_id` varchar(64),
	`description` text,
	`cron_expression` varchar(100) NOT NULL,
	`schedule_type` enum('cron','chain') NOT NULL DEFAULT 'cron',
	`timezone` varchar(50) NOT NULL DEFAULT 'UTC',
	`chain_delay_minutes` int NOT NULL DEFAULT 0,
	`replication_type` enum('full','incremental','auto') NOT NULL DEFAULT 'auto',
	`max_concurrent_jobs` int NOT NULL DEFAULT 1,
	`retry_attempts` int NOT NULL DEFAULT 3,
	`retry_delay_minutes` int NOT NULL DEFAULT 30,
	`enabled` boolean NOT NULL DEFAULT true,
	`skip_if_running` boolean NOT NULL DEFAULT true,
	`created_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `replication_schedules_id` PRIMARY KEY(`id`),
	CONSTRAINT `replication_schedules_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `restore_mount_history` (
	`id` varchar(64) NOT NULL,
	`backup_id` varchar(64) NOT NULL,
	`disk_index` int NOT NULL,
	`ended_at` timestamp(3) NOT NULL,
	`reason` enum('user','expired','backup_deleted','restart','failed') NOT NULL,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `restore_mount_history_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `restore_mounts` (
	`id` varchar(64) NOT NULL,
	`backup_disk_id` bigint NOT NULL,
	`mount_path` varchar(512),
	`nbd_device` varchar(32),
	`filesystem_type` varchar(32),
	`mount_mode` enum('read-only','read-write') NOT NULL DEFAULT 'read-only',
	`status` enum('mounting','mounted','unmounting','failed','unmounted') NOT NULL DEFAULT 'mounting',
	`error_message` text,
	`partition_metadata` json,
	`last_accessed_at` timestamp(3),
	`expires_at` timestamp(3),
	`unmounted_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `restore_mounts_id` PRIMARY KEY(`id`),
	CONSTRAINT `restore_mounts_disk_unique` UNIQUE(`backup_disk_id`),
	CONSTRAINT `restore_mounts_device_unique` UNIQUE(`nbd_device`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `schedule_executions` (
	`id` varchar(64) NOT NULL,
	`schedule_id` varchar(64) NOT NULL,
	`group_id` varchar(64),
	`scheduled_at` timestamp(3) NOT NULL,
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`status` enum('scheduled','running','completed','failed','skipped','cancelled') NOT NULL DEFAULT 'scheduled',
	`vms_eligible` int NOT NULL DEFAULT 0,
	`jobs_created` int NOT NULL DEFAULT 0,
	`jobs_completed` int NOT NULL DEFAULT 0,
	`jobs_failed` int NOT NULL DEFAULT 0,
	`jobs_skipped` int NOT NULL DEFAULT 0,
	`execution_details` json,
	`error_message` text,
	`error_details` json,
	`execution_duration_seconds` int,
	`triggered_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `schedule_executions_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `users` (
	`id` varchar(36) NOT NULL,
	`username` varchar(64) NOT NULL,
	`password_hash` varchar(255) NOT NULL,
	`role` enum('admin','operator','viewer') NOT NULL,
	`display_name` varchar(255),
	`is_active` boolean NOT NULL DEFAULT true,
	`last_login_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `users_id` PRIMARY KEY(`id`),
	CONSTRAINT `users_username_unique` UNIQUE(`username`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_backup_contexts` (
	`context_id` varchar(64) NOT NULL,
	`repository_id` varchar(64) NOT NULL,
	`vm_name` varchar(255) NOT NULL,
	`vmware_vm_id` varchar(255),
	`vm_path` varchar(500),
	`vcenter_host` varchar(255),
	`datacenter` varchar(255),
	`total_backups_run` int NOT NULL DEFAULT 0,
	`successful_backups` int NOT NULL DEFAULT 0,
	`failed_backups` int NOT NULL DEFAULT 0,
	`last_backup_id` varchar(64),
	`last_backup_type` enum('full','incremental'),
	`last_backup_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_backup_contexts_context_id` PRIMARY KEY(`context_id`),
	CONSTRAINT `vm_backup_contexts_vm_unique` UNIQUE(`vm_name`,`vcenter_host`,`repository_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_disks` (
	`id` int AUTO_INCREMENT NOT NULL,
	`vm_context_id` varchar(64) NOT NULL,
	`job_id` varchar(191),
	`ossea_volume_id` int,
	`disk_id` varchar(255) NOT NULL,
	`disk_index` int NOT NULL,
	`vmdk_path` varchar(1024) NOT NULL,
	`size_gb` decimal(14,3) NOT NULL,
	`datastore` varchar(255),
	`unit_number` int,
	`label` varchar(255),
	`capacity_bytes` bigint NOT NULL DEFAULT 0,
	`provisioning_type` varchar(255),
	`cpu_count` int,
	`memory_mb` int,
	`os_type` varchar(255),
	`vm_tools_version` varchar(255),
	`network_config` text,
	`display_name` varchar(255),
	`annotation` text,
	`power_state` varchar(255),
	`vmware_uuid` varchar(255),
	`bios_setup` json,
	`disk_change_id` varchar(255),
	`sync_status` varchar(50) NOT NULL DEFAULT 'pending',
	`sync_progress_percent` decimal(5,2) NOT NULL DEFAULT 0,
	`bytes_synced` bigint NOT NULL DEFAULT 0,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_disks_id` PRIMARY KEY(`id`),
	CONSTRAINT `vm_disks_disk_unique` UNIQUE(`vm_context_id`,`disk_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_group_memberships` (
	`id` varchar(64) NOT NULL,
	`group_id` varchar(64) NOT NULL,
	`vm_context_id` varchar(64) NOT NULL,
	`schedule_override_id` varchar(64),
	`enabled` boolean NOT NULL DEFAULT true,
	`priority` int NOT NULL DEFAULT 0,
	`added_at` timestamp(3),
	`added_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_group_memberships_id` PRIMARY KEY(`id`),
	CONSTRAINT `vm_group_memberships_unique` UNIQUE(`group_id`,`vm_context_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_inventory` (
	`vcenter_host` varchar(255) NOT NULL,
	`vm_id` varchar(191) NOT NULL,
	`datacenter` varchar(255) NOT NULL,
	`vm` json NOT NULL,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_inventory_vcenter_host_vm_id_pk` PRIMARY KEY(`vcenter_host`,`vm_id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_machine_groups` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`schedule_id` varchar(64),
	`description` text,
	`max_concurrent_vms` int NOT NULL DEFAULT 5,
	`priority` int NOT NULL DEFAULT 0,
	`created_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_machine_groups_id` PRIMARY KEY(`id`),
	CONSTRAINT `vm_machine_groups_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vm_replication_contexts` (
	`context_id` varchar(64) NOT NULL,
	`vm_name` varchar(255) NOT NULL,
	`vmware_vm_id` varchar(255) NOT NULL,
	`vm_path` varchar(500) NOT NULL,
	`vcenter_host` varchar(255) NOT NULL,
	`datacenter` varchar(255) NOT NULL,
	`current_status` enum('discovered','ready','replicating','ready_for_failover','failed_over_test','failed_over_live','completed','failed','cleanup_required') NOT NULL DEFAULT 'discovered',
	`current_job_id` varchar(191),
	`last_successful_job_id` varchar(191),
	`credential_id` int,
	`ossea_config_id` int,
	`total_jobs_run` int NOT NULL DEFAULT 0,
	`successful_jobs` int NOT NULL DEFAULT 0,
	`failed_jobs` int NOT NULL DEFAULT 0,
	`cpu_count` int,
	`memory_mb` int,
	`os_type` varchar(255),
	`power_state` varchar(255),
	`vm_tools_version` varchar(255),
	`first_job_at` timestamp(3),
	`last_job_at` timestamp(3),
	`last_status_change` timestamp(3),
	`auto_added` boolean NOT NULL DEFAULT false,
	`last_scheduled_job_id` varchar(191),
	`next_scheduled_at` timestamp(3),
	`scheduler_enabled` boolean NOT NULL DEFAULT true,
	`last_operation_summary` json,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vm_replication_contexts_context_id` PRIMARY KEY(`context_id`),
	CONSTRAINT `vm_contexts_vmware_id_unique` UNIQUE(`vmware_vm_id`,`vcenter_host`),
	CONSTRAINT `vm_contexts_name_unique` UNIQUE(`vm_name`,`vcenter_host`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `vmware_credentials` (
	`id` int AUTO_INCREMENT NOT NULL,
	`credential_name` varchar(255) NOT NULL,
	`vcenter_host` varchar(255) NOT NULL,
	`username` varchar(255) NOT NULL,
	`password_encrypted` text NOT NULL,
	`datacenter` varchar(255) NOT NULL,
	`is_active` boolean NOT NULL DEFAULT true,
	`is_default` boolean NOT NULL DEFAULT false,
	`created_by` varchar(64),
	`last_used` timestamp(3),
	`usage_count` int NOT NULL DEFAULT 0,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `vmware_credentials_id` PRIMARY KEY(`id`),
	CONSTRAINT `vmware_credentials_name_unique` UNIQUE(`credential_name`)
);
--> statement-breakpoint
ALTER TABLE `backup_chains` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_chains_vm_context_id` (`vm_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_copies` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_copies_source_backup_id` (`source_backup_id`) REFERENCES `backup_jobs`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_copies` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_copies_repository_id` (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `backup_copies` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_copies_copy_rule_id` (`copy_rule_id`) REFERENCES `backup_copy_rules`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `backup_copy_rules` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_copy_rules_policy_id` (`policy_id`) REFERENCES `backup_policies`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_copy_rules` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_copy_rules_destination_repository_id` (`destination_repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `backup_disks` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_disks_backup_job_id` (`backup_job_id`) REFERENCES `backup_jobs`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_disks` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_disks_vm_backup_context_id` (`vm_backup_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_jobs_vm_backup_context_id` (`vm_backup_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_jobs_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_jobs_repository_id` (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_jobs_policy_id` (`policy_id`) REFERENCES `backup_policies`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_jobs_parent_backup_id` (`parent_backup_id`) REFERENCES `backup_jobs`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `backup_policies` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_policies_primary_repository_id` (`primary_repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `cbt_history` ADD FOREIGN KEY IF NOT EXISTS `fk_cbt_history_job_id` (`job_id`) REFERENCES `replication_jobs`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `cbt_history` ADD FOREIGN KEY IF NOT EXISTS `fk_cbt_history_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `failover_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_failover_jobs_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `job_tracking` ADD FOREIGN KEY IF NOT EXISTS `fk_job_tracking_parent_job_id` (`parent_job_id`) REFERENCES `job_tracking`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `ossea_volumes` ADD FOREIGN KEY IF NOT EXISTS `fk_ossea_volumes_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `ossea_volumes` ADD FOREIGN KEY IF NOT EXISTS `fk_ossea_volumes_ossea_config_id` (`ossea_config_id`) REFERENCES `ossea_configs`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `protection_flows` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flows_repository_id` (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `protection_flows` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flows_policy_id` (`policy_id`) REFERENCES `backup_policies`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `protection_flows` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flows_schedule_id` (`schedule_id`) REFERENCES `replication_schedules`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `qemu_nbd_processes` ADD FOREIGN KEY IF NOT EXISTS `fk_qemu_nbd_processes_port` (`port`) REFERENCES `nbd_port_allocations`(`port`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `replication_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_replication_jobs_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `replication_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_replication_jobs_ossea_config_id` (`ossea_config_id`) REFERENCES `ossea_configs`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `replication_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_replication_jobs_schedule_execution_id` (`schedule_execution_id`) REFERENCES `schedule_executions`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `replication_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_replication_jobs_vm_group_id` (`vm_group_id`) REFERENCES `vm_machine_groups`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `replication_schedules` ADD FOREIGN KEY IF NOT EXISTS `fk_replication_schedules_chain_parent_schedule_id` (`chain_parent_schedule_id`) REFERENCES `replication_schedules`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `restore_mounts` ADD FOREIGN KEY IF NOT EXISTS `fk_restore_mounts_backup_disk_id` (`backup_disk_id`) REFERENCES `backup_disks`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `schedule_executions` ADD FOREIGN KEY IF NOT EXISTS `fk_schedule_executions_schedule_id` (`schedule_id`) REFERENCES `replication_schedules`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `schedule_executions` ADD FOREIGN KEY IF NOT EXISTS `fk_schedule_executions_group_id` (`group_id`) REFERENCES `vm_machine_groups`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_backup_contexts` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_backup_contexts_repository_id` (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE restrict;--> statement-breakpoint
ALTER TABLE `vm_disks` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_disks_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `vm_disks` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_disks_job_id` (`job_id`) REFERENCES `replication_jobs`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_disks` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_disks_ossea_volume_id` (`ossea_volume_id`) REFERENCES `ossea_volumes`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_group_memberships` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_group_memberships_group_id` (`group_id`) REFERENCES `vm_machine_groups`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `vm_group_memberships` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_group_memberships_vm_context_id` (`vm_context_id`) REFERENCES `vm_replication_contexts`(`context_id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `vm_group_memberships` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_group_memberships_schedule_override_id` (`schedule_override_id`) REFERENCES `replication_schedules`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_machine_groups` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_machine_groups_schedule_id` (`schedule_id`) REFERENCES `replication_schedules`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_replication_contexts` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_replication_contexts_current_job_id` (`current_job_id`) REFERENCES `replication_jobs`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_replication_contexts` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_replication_contexts_last_successful_job_id` (`last_successful_job_id`) REFERENCES `replication_jobs`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_replication_contexts` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_replication_contexts_credential_id` (`credential_id`) REFERENCES `vmware_credentials`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `vm_replication_contexts` ADD FOREIGN KEY IF NOT EXISTS `fk_vm_replication_contexts_ossea_config_id` (`ossea_config_id`) REFERENCES `ossea_configs`(`id`) ON DELETE set null;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_disks_chain` ON `backup_disks` (`vm_backup_context_id`,`disk_index`,`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_disks_file` ON `backup_disks` (`file_base`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_disks_status` ON `backup_disks` (`backup_job_id`,`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_status` ON `backup_jobs` (`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_created` ON `backup_jobs` (`created_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_telemetry` ON `backup_jobs` (`status`,`last_telemetry_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_vm_list` ON `backup_jobs` (`vm_name`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_context_list` ON `backup_jobs` (`vm_backup_context_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_managed_list` ON `backup_jobs` (`vm_context_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_cleanup` ON `backup_jobs` (`cleanup_pending`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_repositories_type` ON `backup_repositories` (`repository_type`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_repositories_enabled` ON `backup_repositories` (`enabled`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_repositories_immutable` ON `backup_repositories` (`is_immutable`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `job_tracking_context` ON `job_tracking` (`context_id`,`created_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `nbd_port_allocations_job` ON `nbd_port_allocations` (`job_id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flows_type` ON `protection_flows` (`flow_type`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flows_target` ON `protection_flows` (`target_type`,`target_id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flows_enabled` ON `protection_flows` (`enabled`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `replication_jobs_status` ON `replication_jobs` (`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `replication_jobs_created` ON `replication_jobs` (`created_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `replication_jobs_poll` ON `replication_jobs` (`status`,`vma_last_poll_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `restore_mount_history_ended` ON `restore_mount_history` (`ended_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `restore_mounts_status` ON `restore_mounts` (`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `restore_mounts_expires` ON `restore_mounts` (`expires_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `restore_mounts_accessed` ON `restore_mounts` (`last_accessed_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `vm_contexts_status` ON `vm_replication_contexts` (`current_status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `vmware_credentials_active` ON `vmware_credentials` (`is_active`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `vmware_credentials_default` ON `vmware_credentials` (`is_default`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `vmware_credentials_vcenter` ON `vmware_credentials` (`vcenter_host`);