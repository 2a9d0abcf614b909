CREATE TABLE IF NOT EXISTS `protection_flow_executions` (
	`id` varchar(64) NOT NULL,
	`flow_id` varchar(64) NOT NULL,
	`schedule_execution_id` varchar(64),
	`status` enum('pending','running','success','warning','error','cancelled') NOT NULL DEFAULT 'pending',
	`execution_type` enum('scheduled','manual','api') NOT NULL,
	`jobs_created` int NOT NULL DEFAULT 0,
	`jobs_completed` int NOT NULL DEFAULT 0,
	`jobs_failed` int NOT NULL DEFAULT 0,
	`jobs_skipped` int NOT NULL DEFAULT 0,
	`vms_processed` int NOT NULL DEFAULT 0,
	`bytes_transferred` bigint NOT NULL DEFAULT 0,
	`started_at` timestamp(3),
	`completed_at` timestamp(3),
	`execution_time_seconds` int,
	`error_message` text,
	`execution_metadata` json NOT NULL,
	`created_job_ids` json,
	`triggered_by` varchar(255),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `protection_flow_executions_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `protection_flow_jobs` (
	`id` varchar(64) NOT NULL,
	`execution_id` varchar(64) NOT NULL,
	`vm_context_id` varchar(64) NOT NULL,
	`vm_name` varchar(255) NOT NULL,
	`position` int NOT NULL,
	`state` enum('waiting','starting','running','completed','failed','cancelled','skipped') NOT NULL DEFAULT 'waiting',
	`failures` int NOT NULL DEFAULT 0,
	`claimed_at` timestamp(3),
	`not_before` timestamp(3),
	`error_message` text,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `protection_flow_jobs_id` PRIMARY KEY(`id`),
	CONSTRAINT `protection_flow_jobs_vm_unique` UNIQUE(`execution_id`,`vm_context_id`)
);
--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `flow_job_id` varchar(64);--> statement-breakpoint
ALTER TABLE `backup_policies` ADD COLUMN IF NOT EXISTS `keep` json;--> statement-breakpoint
ALTER TABLE `replication_schedules` ADD COLUMN IF NOT EXISTS `next_execution_at` timestamp(3);--> statement-breakpoint
ALTER TABLE `replication_schedules` ADD COLUMN IF NOT EXISTS `last_execution_at` timestamp(3);--> statement-breakpoint
ALTER TABLE `schedule_executions` ADD COLUMN IF NOT EXISTS `execution_type` enum('scheduled','manual') DEFAULT 'scheduled' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX IF NOT EXISTS `schedule_executions_slot_unique` ON `schedule_executions` (`schedule_id`,`scheduled_at`);--> statement-breakpoint
ALTER TABLE `protection_flow_executions` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flow_executions_flow_id` (`flow_id`) REFERENCES `protection_flows`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `protection_flow_executions` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flow_executions_schedule_execution_id` (`schedule_execution_id`) REFERENCES `schedule_executions`(`id`) ON DELETE set null;--> statement-breakpoint
ALTER TABLE `protection_flow_jobs` ADD FOREIGN KEY IF NOT EXISTS `fk_protection_flow_jobs_execution_id` (`execution_id`) REFERENCES `protection_flow_executions`(`id`) ON DELETE cascade;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flow_executions_flow` ON `protection_flow_executions` (`flow_id`,`started_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flow_executions_status` ON `protection_flow_executions` (`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flow_jobs_state` ON `protection_flow_jobs` (`execution_id`,`state`,`position`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_flow` ON `backup_jobs` (`flow_job_id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `replication_schedules_due` ON `replication_schedules` (`enabled`,`next_execution_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `schedule_executions_status` ON `schedule_executions` (`status`);