"""Verbalizer engines; each passes the same contract tests."""
