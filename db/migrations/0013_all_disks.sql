ALTER TABLE `restore_mounts` ADD `all_disks` boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `restore_mounts` ADD `guest` json;