"""Tests of nla_ray.exports."""
