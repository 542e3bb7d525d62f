"""Committed tables as SQL: reading, views, the analyst's fence."""
