"""Configurations from files and overrides."""
