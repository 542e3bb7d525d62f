"""Numbers and words that the parts of a report share."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from nla_ray.config.detectors.model import Level

DIGITS = 9
"""Significant digits that are kept: sums in another order differ after them."""


def rounded(value: float) -> float:
    """The value with `DIGITS` significant digits; zero has no sign."""
    return float(f"{value:.{DIGITS}g}") + 0.0


Number = Annotated[float, AfterValidator(rounded)]
Count = Annotated[int, Field(ge=0)]

GRAVEST_FIRST: tuple[Level, ...] = get_args(Level)[::-1]

Tier = Literal["strong", "weak"]

State = Literal["new", "unchanged", "updated", "absent"]
"""A finding against the same one before; absent: it was there and is gone."""
