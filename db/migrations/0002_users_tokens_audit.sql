CREATE TABLE IF NOT EXISTS `api_tokens` (
	`id` varchar(16) NOT NULL,
	`user_id` varchar(36) NOT NULL,
	`name` varchar(255) NOT NULL,
	`role` enum('admin','operator','viewer') NOT NULL,
	`secret_hash` varchar(64) NOT NULL,
	`expires_at` timestamp(3),
	`last_used_at` timestamp(3),
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `api_tokens_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `audit_log` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	`actor_kind` enum('user','api_token','job','download','system','anonymous') NOT NULL,
	`actor` varchar(255),
	`actor_id` varchar(64),
	`action` varchar(64) NOT NULL,
	`method` varchar(10) NOT NULL,
	`path` varchar(512) NOT NULL,
	`status` int NOT NULL,
	`code` varchar(64),
	`details` json,
	`remote_address` varchar(64),
	`request_id` varchar(64),
	CONSTRAINT `audit_log_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
ALTER TABLE `users` ADD COLUMN IF NOT EXISTS `token_version` int DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `api_tokens` ADD FOREIGN KEY IF NOT EXISTS `fk_api_tokens_user_id` (`user_id`) REFERENCES `users`(`id`) ON DELETE cascade;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `api_tokens_user` ON `api_tokens` (`user_id`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `audit_log_at` ON `audit_log` (`at`);--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `audit_log_actor` ON `audit_log` (`actor`);