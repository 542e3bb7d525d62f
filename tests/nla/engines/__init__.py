"""Tests of nla_ray.nla.engines."""
