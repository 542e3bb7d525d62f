"""Activations that were extracted before, as a corpus."""
