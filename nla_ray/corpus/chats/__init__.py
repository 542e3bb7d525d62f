"""Chats and agent transcripts: every known shape becomes one form of messages, or a problem that names the field."""
