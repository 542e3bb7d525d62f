"""What the data behind a page is made of, and its canonical JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from nla_ray.config.base import Config

DIGITS = 9
"""Significant digits that are kept: sums in another order differ after them."""


def rounded(value: float) -> float:
    """The value with `DIGITS` significant digits; zero has no sign."""
    return float(f"{value:.{DIGITS}g}") + 0.0


Number = Annotated[float, AfterValidator(rounded)]
Count = Annotated[int, Field(ge=0)]


class Reference(Config):
    """A model as it was read."""

    ref: str
    """Name or path under which it was asked for."""
    commit: str | None = None
    sha256: str | None = None
    """Digest of its weights."""


def canonical(values: dict[str, Any], indent: int | None = 1) -> str:
    """JSON with sorted keys, ASCII only; it opens no tag where it is taken for HTML."""
    text = json.dumps(values, sort_keys=True, indent=indent, separators=(",", ": " if indent else ":"))
    # `<` occurs in its strings alone.
    return text.replace("<", "\\u003c") + "\n"
