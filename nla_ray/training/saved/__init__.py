"""What a training leaves on disk: checkpoints and released models."""
