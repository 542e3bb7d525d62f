"""What of texts may be stored: found, hidden, cut to windows."""
