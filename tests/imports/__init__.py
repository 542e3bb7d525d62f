"""Tests of nla_ray.imports."""
