"""Natural Language Autoencoders at fleet scale: vectors to text, text to vectors, over whole corpora."""

__version__ = "0.1.0"
