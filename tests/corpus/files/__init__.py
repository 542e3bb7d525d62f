"""Files of a corpus."""
