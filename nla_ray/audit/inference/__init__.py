"""What counts of documents allow to be said: exposure, families, tests, and what could have been seen."""
