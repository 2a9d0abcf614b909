CREATE TABLE `file_indexes` (
	`backup_job_id` varchar(64) NOT NULL,
	`vm_backup_context_id` varchar(64) NOT NULL,
	`point_at` bigint NOT NULL,
	`status` enum('pending','running','completed','failed') NOT NULL DEFAULT 'pending',
	`entry_count` bigint NOT NULL DEFAULT 0,
	`started_at` timestamp(3),
	`ended_at` timestamp(3),
	`error_message` text,
	`created_at` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	CONSTRAINT `file_indexes_backup_job_id` PRIMARY KEY(`backup_job_id`)
);
--> statement-breakpoint
CREATE TABLE `file_names` (
	`id` int AUTO_INCREMENT NOT NULL,
	`name` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	CONSTRAINT `file_names_id` PRIMARY KEY(`id`),
	CONSTRAINT `file_names_unique` UNIQUE(`name`)
);
--> statement-breakpoint
CREATE TABLE `file_words` (
	`word` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`name_id` int NOT NULL,
	CONSTRAINT `file_words_word_name_id_pk` PRIMARY KEY(`word`,`name_id`)
);
--> statement-breakpoint
CREATE TABLE `file_versions` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`volume_id` int NOT NULL,
	`path_hash` binary(16) NOT NULL,
	`path` varchar(5500) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`name_id` int NOT NULL,
	`kind` enum('f','d','l','o') NOT NULL,
	`size` bigint NOT NULL,
	`modified` bigint NOT NULL,
	`first_at` bigint NOT NULL,
	`last_at` bigint NOT NULL,
	CONSTRAINT `file_versions_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE `file_volumes` (
	`id` int AUTO_INCREMENT NOT NULL,
	`vm_backup_context_id` varchar(64) NOT NULL,
	`volume` varchar(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	CONSTRAINT `file_volumes_id` PRIMARY KEY(`id`),
	CONSTRAINT `file_volumes_unique` UNIQUE(`vm_backup_context_id`,`volume`)
);
--> statement-breakpoint
ALTER TABLE `backup_policies` ADD `index_files` boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `file_indexes` ADD CONSTRAINT `file_indexes_backup_job_id_backup_jobs_id_fk` FOREIGN KEY (`backup_job_id`) REFERENCES `backup_jobs`(`id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE `file_indexes` ADD CONSTRAINT `file_indexes_context_fk` FOREIGN KEY (`vm_backup_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE `file_versions` ADD CONSTRAINT `file_versions_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE `file_volumes` ADD CONSTRAINT `file_volumes_context_fk` FOREIGN KEY (`vm_backup_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX `file_indexes_status` ON `file_indexes` (`status`,`created_at`);--> statement-breakpoint
CREATE INDEX `file_indexes_points` ON `file_indexes` (`vm_backup_context_id`,`status`,`point_at`);--> statement-breakpoint
CREATE INDEX `file_words_name` ON `file_words` (`name_id`);--> statement-breakpoint
CREATE INDEX `file_versions_path` ON `file_versions` (`volume_id`,`path_hash`,`last_at`);--> statement-breakpoint
CREATE INDEX `file_versions_last` ON `file_versions` (`volume_id`,`last_at`);--> statement-breakpoint
CREATE INDEX `file_versions_first` ON `file_versions` (`volume_id`,`first_at`);--> statement-breakpoint
CREATE INDEX `file_versions_name` ON `file_versions` (`name_id`,`last_at`);