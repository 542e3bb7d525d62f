"""The text around a finding: windows of a document in which the tokens that were explained stand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nla_ray.audit.report.evidence import Context, Segment

AROUND = 240
"""Characters of text on each side of a hit."""
MOST = 3
"""Windows of one document."""


@dataclass(frozen=True)
class Read:
    """What is known of a position that was explained."""

    fve_nrm: float | None
    """Mean over samples."""
    hit: bool


def contexts(text: str, token_ends: Sequence[int], read: Mapping[int, Read]) -> tuple[Context, ...]:
    """Windows of `AROUND` characters about the hits, at most `MOST`, in order.

    `token_ends` is where each token ends in `text`, in characters; positions past it are left out.
    """
    places = {
        at: (_start(token_ends, at), token_ends[at]) for at in sorted(read) if 0 <= at < len(token_ends)
    }
    around = [(start - AROUND, end + AROUND) for at, (start, end) in places.items() if read[at].hit]
    return tuple(_window(text, span, places, read) for span in _merged(around, len(text))[:MOST])


def _start(token_ends: Sequence[int], at: int) -> int:
    return token_ends[at - 1] if at else 0


def _merged(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Spans cut to the text, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in ((max(0, start), min(length, end)) for start, end in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _window(
    text: str, span: tuple[int, int], places: Mapping[int, tuple[int, int]], read: Mapping[int, Read]
) -> Context:
    done, last = span
    segments: list[Segment] = []
    for at, (start, end) in places.items():
        if start < done or end > last:
            continue
        if start > done:
            segments.append(Segment(text=text[done:start]))
        segments.append(
            Segment(text=text[start:end], position=at, fve_nrm=read[at].fve_nrm, hit=read[at].hit)
        )
        done = end
    if done < last:
        segments.append(Segment(text=text[done:last]))
    return Context(segments=tuple(segments), cut_before=span[0] > 0, cut_after=last < len(text))
