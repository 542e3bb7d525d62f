"""Values of one row, taken out one by one under the names that tools have for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nla_ray.imports.shapes import TEXT
from nla_ray.text import storable

DOCUMENT = ("doc_id", "prompt_idx", "sample_idx", "context_id", "id")
COUNTED = ("prompt_idx", "sample_idx")
"""Keys that name the document, and those of them that number it within the file."""


class UnusableError(Exception):
    """A part of the key is not what it must be."""


class Values:
    """Values of a record that are taken out one by one; what is not taken, or cannot be used, stays."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._taken: set[str] = set()

    def left(self) -> dict[str, Any]:
        """What nobody took, without nulls."""
        there = ((key, value) for key, value in self.values.items() if not missing(value))
        return {key: value for key, value in there if key not in self._taken}

    def document(self) -> tuple[str | None, bool]:
        """The name of the document, and whether it is a number among the file's own."""
        name = self._first(DOCUMENT)
        if name is None:
            return None, False
        value = self.values[name]
        if isinstance(value, float):
            value = _integer(value)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise UnusableError(f"{name}: found {_short(self.values[name])} where a name or a number belongs")
        self._taken.add(name)
        numbered = name in COUNTED or (name != DOCUMENT[0] and not isinstance(value, str))
        return storable(str(value)), numbered

    def key(self, names: tuple[str, ...], highest: int) -> int | None:
        """A number of the key."""
        name = self._first(names)
        if name is None:
            return None
        value = _integer(self.values[name])
        if value is None or not 0 <= value <= highest:
            raise UnusableError(f"{name}: found {_short(self.values[name])} where 0 to {highest} is allowed")
        self._taken.add(name)
        return value

    def take(self, name: str) -> None:
        """Leave this value out of what is left."""
        self._taken.add(name)

    def mse(self, cosine: float | None) -> float | None:
        """`mse` where it is 2 (1 - cos); another one is of vectors whose norms are not known."""
        value = _number(self.values.get("mse"))
        if value is None or cosine is None:
            return None
        if not math.isclose(value, 2 - 2 * cosine, rel_tol=1e-2, abs_tol=1e-6):
            return None
        self._taken.add("mse")
        return value

    def number(self, *names: str) -> float | None:
        """A finite number; NaN and infinity are none, and anything else stays where it is."""
        name = self._first(names)
        value = None if name is None else _number(self.values[name])
        if name is None or value is None:
            return None
        self._taken.add(name)
        return value if math.isfinite(value) and abs(value) < _FLOAT32_END else None

    def integer(self, names: tuple[str, ...], below: int) -> int | None:
        """An integer from 0 to below `below`."""
        name = self._first(names)
        value = None if name is None else _integer(self.values[name])
        if name is None or value is None or not 0 <= value < below:
            return None
        self._taken.add(name)
        return value

    def string(self, *names: str) -> str | None:
        """A text, with what UTF-8 cannot hold replaced."""
        name = self._first(names)
        if name is None or not isinstance(self.values[name], str):
            return None
        self._taken.add(name)
        return storable(self.values[name])

    def boolean(self, *names: str) -> bool | None:
        """True or false."""
        name = self._first(names)
        if name is None or not isinstance(self.values[name], bool):
            return None
        self._taken.add(name)
        return bool(self.values[name])

    def one_of(self, allowed: tuple[str, ...], name: str) -> str | None:
        """A text that is one of the allowed ones."""
        return self.string(name) if self.values.get(name) in allowed else None

    def wrong_text(self) -> str:
        """What is in the place of the explanation that is not there."""
        name = self._first(TEXT)
        if name is None or isinstance(self.values[name], str):
            return "no explanation"
        return f"{name}: found {type(self.values[name]).__name__} where text belongs"

    def _first(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if not missing(self.values.get(name))), None)


_FLOAT32_END = 3.4028235677973366e38
"""From here on a number is infinite as a 32-bit float."""


def missing(value: object) -> bool:
    """Null, or the NaN that data frames write for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value) if int(value) == float(value) or isinstance(value, int) else None
    except (ValueError, OverflowError):
        return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
