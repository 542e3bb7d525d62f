"""What detectors find in explanations."""
