"""S3: write-once objects, listing and reading with retries, checked copies."""
