"""Who explains an activation when a training set is made: a language model, or a column."""
