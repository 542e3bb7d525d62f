"""A pair for a real pretrained model, on a laptop: `make real`. See docs/real_model.md."""
