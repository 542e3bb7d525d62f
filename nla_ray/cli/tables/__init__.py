"""`nla-ray sql`, `show` and `verify`: committed tables."""
