"""A training set to a pair, here or on Ray."""
