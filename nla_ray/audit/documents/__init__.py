"""What is known of the audited documents: families, strata, parts that cannot be read, rows to draw from."""
