"""Benchmarks that are more than a timing."""
