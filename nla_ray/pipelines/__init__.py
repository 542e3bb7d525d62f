"""Whole jobs, composed of stages."""
