"""Keeping tables in order: runs that are given up or gone, what is left behind, fewer and larger files."""
