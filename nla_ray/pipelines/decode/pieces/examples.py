"""A few of the chosen positions, each in its place in the text, to be looked at before anything runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from nla_ray.corpus.reading.reader import Reading

DOCUMENTS = 3
AROUND = 60
"""Characters that are kept on both sides of a token."""


@dataclass(frozen=True)
class Example:
    """A token that was chosen, with the text around it."""

    doc_id: str
    position: int
    label: str | None
    before: str
    token: str
    after: str


def examples_of(reading: Reading) -> list[Example]:
    """The first, the middle and the last position of a document, where it is known where its tokens stand."""
    text, ends, places = reading.text, reading.token_ends, reading.positions
    if text is None or ends is None or not places:
        return []
    return [
        _example(reading, text, ends, at) for at in sorted({places[0], places[len(places) // 2], places[-1]})
    ]


def _example(reading: Reading, text: str, ends: Sequence[int], at: int) -> Example:
    """Tokens that are bytes of one character end at the same place: each stands for that character."""
    first, end = bisect_left(ends, ends[at]), ends[at]
    start = ends[first - 1] if first else 0
    return Example(
        reading.document.doc_id,
        at,
        reading.labels[at] if reading.labels else None,
        text[max(0, start - AROUND) : start],
        text[start:end],
        text[end : end + AROUND],
    )
