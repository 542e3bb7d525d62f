"""Texts back into vectors, and how well these agree with those that the texts are about."""
