CREATE TABLE IF NOT EXISTS `file_marks` (
	`volume_id` int NOT NULL,
	`part` int NOT NULL,
	`point_at` bigint NOT NULL,
	`marks` mediumblob NOT NULL,
	CONSTRAINT `file_marks_volume_id_part_pk` PRIMARY KEY(`volume_id`,`part`),
	CONSTRAINT `file_marks_volume_id_file_volumes_id_fk` FOREIGN KEY (`volume_id`) REFERENCES `file_volumes`(`id`) ON DELETE cascade ON UPDATE no action
);
