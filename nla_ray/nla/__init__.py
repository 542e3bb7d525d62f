"""The autoencoder: sidecars, prompts, extraction, verbalizer, reconstructor, fidelity."""
