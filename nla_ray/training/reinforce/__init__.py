"""Joint reinforcement learning of a pair."""
