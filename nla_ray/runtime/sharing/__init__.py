"""Several runs through the same workers."""
