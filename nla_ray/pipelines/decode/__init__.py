"""A corpus to tables of explanations."""
