ALTER TABLE `vm_backup_contexts` ADD COLUMN IF NOT EXISTS `retention_due` boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `vm_backup_contexts_retention` ON `vm_backup_contexts` (`retention_due`);
