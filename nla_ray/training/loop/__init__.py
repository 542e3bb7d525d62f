"""The training loop: what a stage gives it, steps, measurements, the journal, the optimiser."""
