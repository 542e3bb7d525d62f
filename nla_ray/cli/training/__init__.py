"""`nla-ray training-set`, `train` and `demo-train`."""
