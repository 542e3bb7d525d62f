"""Runs stages: in this process, or in Ray actors; the only package that imports Ray."""
