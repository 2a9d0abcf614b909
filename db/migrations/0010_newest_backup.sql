CREATE INDEX IF NOT EXISTS `backup_jobs_managed` ON `backup_jobs` (`vm_context_id`,`created_at`,`id`,`backup_type`,`status`,`completed_at`);--> statement-breakpoint
DROP INDEX IF EXISTS `backup_jobs_managed_list` ON `backup_jobs`;
