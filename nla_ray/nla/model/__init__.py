"""A checkpoint as a torch module: found, opened, run."""
