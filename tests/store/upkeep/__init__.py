"""Tests of the upkeep of tables."""
