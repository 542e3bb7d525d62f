"""Adapters over tiny models, written by peft itself."""
