"""Where bytes are: a folder or S3, write-once objects, input files."""
