"""Configurations of training sets and of training."""
