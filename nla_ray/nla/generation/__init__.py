"""Text from a language model: keyed sampling, answers, continuations."""
