"""`nla-ray decode`."""
