-- What was kept in the old way is made again from the restore points.
DROP TABLE IF EXISTS `file_versions`;
--> statement-breakpoint
DROP TABLE IF EXISTS `file_words`;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_versions` (
	`folder_id` int NOT NULL,
	`name_hash` bigint NOT NULL,
	`name` varchar(1400) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`kind` enum('f','d','l','o') NOT NULL,
	`size` bigint NOT NULL,
	`modified` bigint NOT NULL,
	`first_at` bigint NOT NULL,
	`last_at` bigint NOT NULL,
	CONSTRAINT `file_versions_folder_id_name_hash_first_at_pk` PRIMARY KEY(`folder_id`,`name_hash`,`first_at`),
	CONSTRAINT `file_versions_folder_id_file_folders_id_fk` FOREIGN KEY (`folder_id`) REFERENCES `file_folders`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_words` (
	`word` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	`folder_id` int NOT NULL,
	`part` int NOT NULL,
	CONSTRAINT `file_words_word_folder_id_part_pk` PRIMARY KEY(`word`,`folder_id`,`part`)
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_changes` (
	`volume_id` int NOT NULL,
	`at` bigint NOT NULL,
	`folder_id` int NOT NULL,
	`name_hash` bigint NOT NULL,
	CONSTRAINT `file_changes_volume_id_at_folder_id_name_hash_pk` PRIMARY KEY(`volume_id`,`at`,`folder_id`,`name_hash`),
	CONSTRAINT `file_changes_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_walks` (
	`vm_backup_context_id` varchar(64) NOT NULL,
	`at` bigint NOT NULL,
	CONSTRAINT `file_walks_vm_backup_context_id_at_pk` PRIMARY KEY(`vm_backup_context_id`,`at`),
	CONSTRAINT `file_walks_context_fk` FOREIGN KEY (`vm_backup_context_id`) REFERENCES `vm_backup_contexts`(`context_id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
DELETE FROM `file_digests`;
--> statement-breakpoint
DROP TABLE IF EXISTS `file_marks`;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_fingerprints` (
	`volume_id` int NOT NULL,
	`part` int NOT NULL,
	`point_at` bigint NOT NULL,
	`fingerprints` mediumblob NOT NULL,
	CONSTRAINT `file_fingerprints_volume_id_part_pk` PRIMARY KEY(`volume_id`,`part`),
	CONSTRAINT `file_fingerprints_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
UPDATE `file_indexes` SET `status` = 'pending', `entry_count` = 0, `digests` = IF(`digests` = 'completed', 'pending', `digests`) WHERE `status` IN ('running', 'completed');
