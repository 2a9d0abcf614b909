CREATE TABLE IF NOT EXISTS `backup_heals` (
	`backup_job_id` varchar(64) NOT NULL,
	`repository_id` varchar(64) NOT NULL,
	`done_bytes` bigint NOT NULL DEFAULT 0,
	`total_bytes` bigint NOT NULL DEFAULT 0,
	`error_message` text,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_heals_backup_job_id` PRIMARY KEY(`backup_job_id`)
);
--> statement-breakpoint
ALTER TABLE `backup_copies` ADD COLUMN IF NOT EXISTS `verify_after_copy` boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_copies` ADD COLUMN IF NOT EXISTS `done_bytes` bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_copies` ADD COLUMN IF NOT EXISTS `total_bytes` bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `restore_mounts` ADD COLUMN IF NOT EXISTS `repository_id` varchar(64);--> statement-breakpoint
ALTER TABLE `backup_heals` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_heals_backup_job_id` (`backup_job_id`) REFERENCES `backup_jobs`(`id`) ON DELETE cascade;--> statement-breakpoint
ALTER TABLE `backup_heals` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_heals_repository_id` (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE cascade;