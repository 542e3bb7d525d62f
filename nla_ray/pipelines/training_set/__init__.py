"""A corpus to the tables that a pair is trained with."""
