"""The regions of a rendered chat, from where its pieces stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from nla_ray.corpus.rendering.fit import Placed
from nla_ray.corpus.rendering.model import Region
from nla_ray.corpus.rendering.pieces import Unit

_OPENING = re.compile(r"""\{\s*["']?\Z""")
_OPENING_WITH_KEY = re.compile(r"""\{[^{}]+:\s*["']?\Z""")
_LONGEST_OPENING = 200
_NO_ARGUMENTS = ("", "{}")


def regions_of(text: str, placed: Sequence[Placed]) -> tuple[Region, ...]:
    """Regions, ascending and disjoint; parts of one content are one region where they touch."""
    regions: list[Region] = []
    owner, placed = None, _calls_once(placed)
    for at, run in _runs(placed):
        floor = regions[-1].end if regions else 0
        ceiling = placed[at + len(run)].start if at + len(run) < len(placed) else len(text)
        region = _region(text, run, floor, ceiling)
        if region is None:
            continue
        if run[0].piece.unit == owner and floor == region.start:
            regions[-1] = replace(regions[-1], end=region.end)
        else:
            regions.append(region)
        owner = run[0].piece.unit
    return tuple(regions)


def _calls_once(placed: Sequence[Placed]) -> list[Placed]:
    """Without what is a call's name again, in the header of its result: there it is the template's."""
    named: set[Unit] = set()
    found = []
    for one in placed:
        if one.piece.field == "name":
            if one.piece.unit in named:
                continue
            named.add(one.piece.unit)
        found.append(one)
    return found


def _runs(placed: Sequence[Placed]) -> list[tuple[int, list[Placed]]]:
    """Placed pieces one by one, but those of one call's arguments in a row together; each with its index."""
    runs, at = [], 0
    for (_, _, field), group in groupby(placed, key=lambda one: one.piece.unit):
        found = list(group)
        parts = [found] if field == "values" else [[one] for one in found]
        for part in parts:
            runs.append((at, part))
            at += len(part)
    return runs


def _region(text: str, run: Sequence[Placed], floor: int, ceiling: int) -> Region | None:
    """The region of a run between the end of what is before it and the start of what is behind it."""
    piece = run[0].piece
    if piece.field == "arguments" and piece.value.strip() in _NO_ARGUMENTS:
        return None
    around = _values(text, run, floor, ceiling) if piece.field == "values" else None
    start, end = around or _with_tags(text, run[0], floor, ceiling)
    start = max(start, floor)
    return Region(start, end, piece.label, piece.message, piece.call) if start < end else None


def _with_tags(text: str, one: Placed, floor: int, ceiling: int) -> tuple[int, int]:
    """A part of a content with the words that it was split at, where they stand beside it as they did."""
    before = (one.piece.before, one.piece.before.lstrip())
    after = (one.piece.after, one.piece.after.rstrip())
    return (
        one.start - next((len(word) for word in before if text.endswith(word, floor, one.start)), 0),
        one.end + next((len(word) for word in after if text.startswith(word, one.end, ceiling)), 0),
    )


def _values(text: str, run: Sequence[Placed], floor: int, ceiling: int) -> tuple[int, int]:
    """Arguments from their first character to their last: with their braces, or from key to value."""
    start = run[0].start
    before = _OPENING if run[0].piece.ranks else _OPENING_WITH_KEY
    opening = before.search(text, max(floor, start - _LONGEST_OPENING), start)
    start = opening.start() if opening else start
    return start, _closing(text, start, run, ceiling)


def _closing(text: str, start: int, run: Sequence[Placed], ceiling: int) -> int:
    """Where brackets that are open behind the last piece are closed; its end where none is or not all are."""
    between = [
        text[last : one.start] for last, one in zip([start, *(one.end for one in run)], run, strict=False)
    ]
    depth = sum(_balance(char) for part in between for char in part)
    end = run[-1].end
    for at in range(end, ceiling):
        if depth <= 0:
            return at
        depth += _balance(text[at])
    return end if depth > 0 else ceiling


def _balance(char: str) -> int:
    return (char in "{[") - (char in "}]")
