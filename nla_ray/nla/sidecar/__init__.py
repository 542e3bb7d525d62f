"""Sidecars of checkpoints and of activation files: read, checked, written."""
