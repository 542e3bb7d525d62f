"""Texts with some of their characters hidden, and where their tokens end in what is left."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

Span = tuple[int, int]
"""Start and end in characters."""

CUT = "…"
"""Stands for what lies between two windows."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one; empty ones are nothing."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def hide(
    text: str, spans: Sequence[Span], replacement: str, ends: Sequence[int] = ()
) -> tuple[str, tuple[int, ...]]:
    """The text with a replacement for every span (as of `merged`), and where `ends` (ascending) are then.

    What ended inside a span, or with it, ends with its replacement.
    """
    starts, stops = [start for start, _ in spans], [end for _, end in spans]
    kept = [text[start:end] for start, end in zip([0, *stops], [*starts, len(text)], strict=True)]
    shifts = [0]
    for start, end in spans:
        shifts.append(shifts[-1] + len(replacement) - (end - start))
    moved = []
    for end in ends:
        before = bisect_left(starts, end)
        inside = before > 0 and end < stops[before - 1]
        moved.append((stops[before - 1] if inside else end) + shifts[before])
    return replacement.join(kept), tuple(moved)


def overlaps(spans: Sequence[Span], start: int, end: int) -> bool:
    """Whether a token from `start` to `end` has a part in a span.

    A token without characters is a byte of the character that ends there, and belongs to it.
    """
    first = start if start < end else start - 1
    return any(one < end and first < other for one, other in spans)


def gaps(length: int, ends: Sequence[int], positions: Iterable[int], around: int) -> list[Span]:
    """What of a text of `length` characters is further than `around` from all tokens at the positions."""
    windows = merged(
        (max(0, (ends[at - 1] if at else 0) - around), min(length, ends[at] + around)) for at in positions
    )
    edges = [0, *(edge for window in windows for edge in window), length]
    return [(start, end) for start, end in list(pairwise(edges))[::2] if start < end]
