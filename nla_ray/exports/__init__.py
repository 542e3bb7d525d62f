"""Committed rows as other tools read them: files of their formats, written once, a marker last."""
