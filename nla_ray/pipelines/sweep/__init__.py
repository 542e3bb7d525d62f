"""A sweep run: cells decoded, audited and compared, and the page of the fleet."""
