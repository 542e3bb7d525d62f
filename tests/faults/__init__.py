"""Faults of every kind, injected into real runs, and what is left of the rows."""
