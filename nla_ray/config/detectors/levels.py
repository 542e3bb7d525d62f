"""What a finding weighs, and how plainly a detector speaks."""

from __future__ import annotations

from typing import Literal, get_args

Level = Literal["informational", "low", "medium", "high", "critical"]
"""Lightest first."""
GRAVEST_FIRST: tuple[Level, ...] = get_args(Level)[::-1]

Tier = Literal["strong", "weak"]
