"""`nla-ray audit`."""
