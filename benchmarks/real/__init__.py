"""A pair for a real pretrained model, on a laptop: `make real`. See docs/training/real_model.md."""
