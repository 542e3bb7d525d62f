"""Chats of every known shape become one form of messages, or a problem that names the field."""
