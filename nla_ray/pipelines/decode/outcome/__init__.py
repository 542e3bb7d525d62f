"""What a run amounts to, and the denominator of its fidelity."""
