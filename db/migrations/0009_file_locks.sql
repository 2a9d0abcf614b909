ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `locked_until` timestamp(3);--> statement-breakpoint
ALTER TABLE `backup_copies` ADD COLUMN IF NOT EXISTS `locked_until` timestamp(3);
