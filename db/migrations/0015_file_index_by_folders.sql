DROP TABLE IF EXISTS `file_versions`;
--> statement-breakpoint
DROP TABLE IF EXISTS `file_words`;
--> statement-breakpoint
DROP TABLE IF EXISTS `file_names`;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_folders` (
	`id` int AUTO_INCREMENT NOT NULL,
	`volume_id` int NOT NULL,
	`path_hash` binary(16) NOT NULL,
	`path` varchar(5500) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	CONSTRAINT `file_folders_id` PRIMARY KEY(`id`),
	CONSTRAINT `file_folders_unique` UNIQUE(`volume_id`,`path_hash`),
	CONSTRAINT `file_folders_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_words` (
	`word` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`name_hash` bigint NOT NULL,
	CONSTRAINT `file_words_word_name_hash_pk` PRIMARY KEY(`word`,`name_hash`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_versions` (
	`volume_id` int NOT NULL,
	`folder_id` int NOT NULL,
	`name_hash` bigint NOT NULL,
	`name` varchar(1400) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`kind` enum('f','d','l','o') NOT NULL,
	`size` bigint NOT NULL,
	`modified` bigint NOT NULL,
	`first_at` bigint NOT NULL,
	`last_at` bigint NOT NULL,
	CONSTRAINT `file_versions_folder_id_name_hash_first_at_pk` PRIMARY KEY(`folder_id`,`name_hash`,`first_at`),
	INDEX `file_versions_last` (`volume_id`,`last_at`),
	INDEX `file_versions_first` (`volume_id`,`first_at`),
	INDEX `file_versions_name` (`name_hash`,`last_at`),
	CONSTRAINT `file_versions_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_digests` (
	`volume_id` int NOT NULL,
	`folder_id` int NOT NULL,
	`name_hash` bigint NOT NULL,
	`size` bigint NOT NULL,
	`modified` bigint NOT NULL,
	`sha256` binary(32) NOT NULL,
	CONSTRAINT `file_digests_folder_id_name_hash_size_modified_pk` PRIMARY KEY(`folder_id`,`name_hash`,`size`,`modified`),
	INDEX `file_digests_content` (`sha256`),
	CONSTRAINT `file_digests_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
ALTER TABLE `file_indexes` ADD COLUMN IF NOT EXISTS `digests` enum('none','pending','completed') DEFAULT 'none' NOT NULL;
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS `file_indexes_digests` ON `file_indexes` (`digests`,`created_at`);
--> statement-breakpoint
ALTER TABLE `backup_policies` ADD COLUMN IF NOT EXISTS `index_digests` boolean DEFAULT false NOT NULL;
--> statement-breakpoint
UPDATE `file_indexes` SET `status` = 'pending', `entry_count` = 0 WHERE `status` IN ('running', 'completed');
