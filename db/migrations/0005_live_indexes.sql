CREATE INDEX IF NOT EXISTS `backup_copies_status` ON `backup_copies` (`status`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_completed` ON `backup_jobs` (`completed_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `protection_flow_executions_completed` ON `protection_flow_executions` (`completed_at`);