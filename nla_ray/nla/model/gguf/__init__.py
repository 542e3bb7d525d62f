"""GGUF files as models: what one says of itself, and the checkpoint folder that is written from it."""
