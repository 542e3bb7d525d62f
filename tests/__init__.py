"""Tests; the tree mirrors nla_ray."""
