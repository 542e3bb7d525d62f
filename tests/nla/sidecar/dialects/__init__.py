"""Pairs as their own trainers write them."""
