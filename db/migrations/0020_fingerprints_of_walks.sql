ALTER TABLE `file_fingerprints` DROP PRIMARY KEY, ADD PRIMARY KEY(`volume_id`,`point_at`,`part`);
