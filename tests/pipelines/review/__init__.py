"""Tests of reviews from tables to tables."""
