CREATE TABLE IF NOT EXISTS `notification_rules` (
	`id` varchar(64) NOT NULL,
	`name` varchar(255) NOT NULL,
	`enabled` boolean NOT NULL DEFAULT true,
	`type` enum('webhook','mail') NOT NULL,
	`config` json NOT NULL,
	`events` json NOT NULL,
	`vm_names` json NOT NULL,
	`repository_ids` json NOT NULL,
	`secret_encrypted` text NOT NULL,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`updated_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `notification_rules_id` PRIMARY KEY(`id`),
	CONSTRAINT `notification_rules_name_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `notification_deliveries` (
	`id` varchar(64) NOT NULL,
	`rule_id` varchar(64) NOT NULL,
	`message` json NOT NULL,
	`status` enum('pending','sent','failed') NOT NULL DEFAULT 'pending',
	`attempts` int NOT NULL DEFAULT 0,
	`next_attempt_at` timestamp(3),
	`last_error` text,
	`sent_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `notification_deliveries_id` PRIMARY KEY(`id`),
	CONSTRAINT `notification_deliveries_rule_id_notification_rules_id_fk` FOREIGN KEY (`rule_id`) REFERENCES `notification_rules`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `notification_deliveries_due` ON `notification_deliveries` (`status`,`next_attempt_at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `notification_deliveries_rule` ON `notification_deliveries` (`rule_id`,`created_at`);--> statement-breakpoint
ALTER TABLE `backup_repositories` ADD COLUMN IF NOT EXISTS `storage_state` enum('ok','low','unreachable') DEFAULT 'ok' NOT NULL;
