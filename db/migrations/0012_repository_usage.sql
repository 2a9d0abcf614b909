CREATE TABLE IF NOT EXISTS `repository_usage` (
	`repository_id` varchar(64) NOT NULL,
	`day` date NOT NULL,
	`used_bytes` bigint NOT NULL,
	CONSTRAINT `repository_usage_repository_id_day_pk` PRIMARY KEY(`repository_id`,`day`),
	CONSTRAINT `repository_usage_repository_id_backup_repositories_id_fk` FOREIGN KEY (`repository_id`) REFERENCES `backup_repositories`(`id`) ON DELETE cascade ON UPDATE no action
);
