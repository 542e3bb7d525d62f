"""What is told of a decode while it works."""
