"""All matches of an expression in a text, in time that grows with the text alone: RE2 never backtracks."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from nla_ray.errors import ConfigError

_PRIVATE = range(0xE000, 0xF900)


class Pattern:
    """An RE2 expression. Raises ConfigError for one that RE2 does not accept."""

    def __init__(self, pattern: str, *, option: str) -> None:
        self._pattern = pattern
        try:
            self.spans("")
        except pa.ArrowException as error:
            raise ConfigError(
                f"{option}: {pattern!r} is not an expression of RE2: {error}; "
                "back-references and look-around are not part of it"
            ) from None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end, in characters, of the matches that are not empty, in order."""
        opening, closing = _absent(text)
        marked = pc.replace_substring_regex(pa.scalar(text), self._pattern, rf"{opening}\0{closing}").as_py()
        pieces = re.split(f"[{opening}{closing}]", marked)
        found, at = [], 0
        for index, piece in enumerate(pieces):
            if index % 2 and piece:
                found.append((at, at + len(piece)))
            at += len(piece)
        return found


def _absent(text: str) -> tuple[str, str]:
    """Two characters that are not in the text."""
    free = (char for char in map(chr, _PRIVATE) if char not in text)
    first, second = next(free, None), next(free, None)
    if first is None or second is None:
        raise ValueError("the text holds every private character")
    return first, second
