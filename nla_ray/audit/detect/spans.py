"""From a place in normalised text back to the text as it was written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from nla_ray.text import normalise


def original_span(said: str, start: int, length: int) -> tuple[int, int] | None:
    """Where the characters `start` to `start + length` of `normalise(said)` were written, as start and end.

    None where pieces normalised one by one are not the text normalised as a whole.
    """
    first = last = None
    done, made = 0, []
    for at, piece in _pieces(said):
        folded = normalise(piece)
        made.append(folded)
        if done < start + length and done + len(folded) > start:
            first = at if first is None else first
            last = at + len(piece)
        done += len(folded)
    if first is None or last is None or "".join(made) != normalise(said):
        return None
    return first, last


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Characters with the marks that combine with them, and where they begin."""
    begin = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.combining(text[at]):
            yield begin, text[begin:at]
            begin = at
