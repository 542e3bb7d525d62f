"""The table of known pairs."""
