"""A client of chat endpoints of the OpenAI kind."""
