"""Tests of `nla-ray review`."""
