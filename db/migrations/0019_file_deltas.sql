CREATE TABLE IF NOT EXISTS `file_deltas` (
	`folder_id` int NOT NULL,
	`least` bigint NOT NULL,
	`at` bigint NOT NULL,
	`before_at` bigint NOT NULL,
	`told` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	CONSTRAINT `file_deltas_folder_id_least_pk` PRIMARY KEY(`folder_id`,`least`),
	CONSTRAINT `file_deltas_folder_id_file_folders_id_fk` FOREIGN KEY (`folder_id`) REFERENCES `file_folders`(`id`) ON DELETE cascade ON UPDATE no action
);
