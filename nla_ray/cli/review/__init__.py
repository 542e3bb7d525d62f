"""`nla-ray review`."""
