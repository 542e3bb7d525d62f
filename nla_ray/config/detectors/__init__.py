"""Detectors as data: packs, patterns, conditions, judges."""
