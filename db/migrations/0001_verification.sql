CREATE TABLE IF NOT EXISTS `backup_verifications` (
	`backup_job_id` varchar(64) NOT NULL,
	`bytes_per_second` bigint NOT NULL DEFAULT 0,
	`fresh_since` timestamp(3) NOT NULL,
	`started_at` timestamp(3),
	`done_bytes` bigint NOT NULL DEFAULT 0,
	`total_bytes` bigint NOT NULL DEFAULT 0,
	`speed_bps` bigint NOT NULL DEFAULT 0,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `backup_verifications_backup_job_id` PRIMARY KEY(`backup_job_id`)
);
--> statement-breakpoint
ALTER TABLE `backup_disks` ADD COLUMN IF NOT EXISTS `manifest_digest` varchar(64);--> statement-breakpoint
ALTER TABLE `backup_disks` ADD COLUMN IF NOT EXISTS `verified_at` timestamp(3);--> statement-breakpoint
ALTER TABLE `backup_disks` ADD COLUMN IF NOT EXISTS `verify_position` bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_disks` ADD COLUMN IF NOT EXISTS `damages` json;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `verify_state` enum('unverified','verified','damaged') DEFAULT 'unverified' NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `verified_at` timestamp(3);--> statement-breakpoint
ALTER TABLE `backup_verifications` ADD FOREIGN KEY IF NOT EXISTS `fk_backup_verifications_backup_job_id` (`backup_job_id`) REFERENCES `backup_jobs`(`id`) ON DELETE cascade;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_verified` ON `backup_jobs` (`status`,`verified_at`);