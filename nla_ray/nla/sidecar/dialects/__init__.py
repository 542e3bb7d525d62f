"""Dialects of published pairs: which one it is, and its words in those of the released dialect."""
