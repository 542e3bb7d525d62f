"""Adapters (LoRA): found with their base, checked against it, merged into it."""
