"""What a sweep is, without running it: cells, their state and results, budgets, leases."""
