"""Attention over a shared prefix and static slots, and the keys and values that it reads."""
