"""What would go silently wrong with a pair, looked at before any weight is loaded."""
