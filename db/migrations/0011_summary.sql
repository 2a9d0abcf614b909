CREATE INDEX IF NOT EXISTS `backup_jobs_began` ON `backup_jobs` (`created_at`,`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_verify_state` ON `backup_jobs` (`verify_state`,`verified_at`);--> statement-breakpoint
DROP INDEX IF EXISTS `backup_jobs_created` ON `backup_jobs`;
