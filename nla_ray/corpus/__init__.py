"""Reading a corpus: files, formats, documents, chats, tokens with labels, positions."""
