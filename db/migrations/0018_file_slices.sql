-- What was kept in the old way is made again from the restore points.
TRUNCATE TABLE `file_versions`;
--> statement-breakpoint
TRUNCATE TABLE `file_words`;
--> statement-breakpoint
TRUNCATE TABLE `file_changes`;
--> statement-breakpoint
TRUNCATE TABLE `file_walks`;
--> statement-breakpoint
TRUNCATE TABLE `file_digests`;
--> statement-breakpoint
TRUNCATE TABLE `file_fingerprints`;
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS `file_slices` (
	`folder_id` int NOT NULL,
	`least` bigint NOT NULL,
	`bits` tinyint NOT NULL,
	`files` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	CONSTRAINT `file_slices_folder_id_least_pk` PRIMARY KEY(`folder_id`,`least`),
	CONSTRAINT `file_slices_folder_id_file_folders_id_fk` FOREIGN KEY (`folder_id`) REFERENCES `file_folders`(`id`) ON DELETE cascade ON UPDATE no action
);
--> statement-breakpoint
UPDATE `file_indexes` SET `status` = 'pending', `entry_count` = 0, `digests` = IF(`digests` = 'completed', 'pending', `digests`) WHERE `status` IN ('running', 'completed');
