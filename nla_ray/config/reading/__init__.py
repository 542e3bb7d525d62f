"""Configurations of what is read: corpora, chats, positions."""
