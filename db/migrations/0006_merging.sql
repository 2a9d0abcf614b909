ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `merging_into` varchar(64);--> statement-breakpoint
ALTER TABLE `backup_jobs` ADD COLUMN IF NOT EXISTS `is_protected` boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `backup_jobs_merging` ON `backup_jobs` (`merging_into`);