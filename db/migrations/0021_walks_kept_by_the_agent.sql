DROP TABLE IF EXISTS `file_fingerprints`;
