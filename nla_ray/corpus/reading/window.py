"""What is read of a document that is too long: a window of its tokens, or its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from nla_ray.config.reading.corpus import Window
from nla_ray.corpus.reading.tokens import Tokens

WINDOWED = "windowed"
"""The flag of a document of which a window was read, and of its rows."""


@dataclass(frozen=True)
class Kept:
    """The tokens that are read, and how many of the document were left out before and after them."""

    tokens: Tokens
    left_out: tuple[int, int] = (0, 0)
    flags: tuple[str, ...] = ()


def shortened(tokens: Tokens, window: Window | None, *, max_tokens: int, begin: int | None) -> Kept | str:
    """At most `max_tokens` of the tokens, or the window of them; the reason why there is no window.

    `begin` is the beginning-of-text token: it stays in front of a window that starts later.
    """
    n = len(tokens.ids)
    if window is None or n <= window.tokens:
        kept = min(n, max_tokens)
        return Kept(cut(tokens, 0, kept), (0, n - kept))
    stop = _stop(tokens, window)
    if isinstance(stop, str):
        return stop
    start = stop - window.tokens
    lead = int(start > 0 and tokens.ids[0] == begin)
    return Kept(cut(tokens, start + lead, stop, lead=lead), (start, n - stop), (WINDOWED,))


def _stop(tokens: Tokens, window: Window) -> int | str:
    """Where a window ends that is shorter than the document; the reason why there is none."""
    if window.around in ("start", "end"):
        return window.tokens if window.around == "start" else len(tokens.ids)
    labels = tokens.labels or ()
    ends = [at + 1 for at, label in enumerate(labels) if label == window.around]
    if not ends:
        there = ", ".join(dict.fromkeys(labels)) or "none"
        return f"no {window.around!r} to put corpus.window around; its labels: {there:.200}"
    return max(ends[-1], window.tokens)


def cut(tokens: Tokens, start: int, stop: int, *, lead: int = 0) -> Tokens:
    """The tokens from `start` to `stop` behind the first `lead` ones, with their part of the text.

    The text stays whole where it is not known where tokens stand in it.
    """
    if (start, stop) == (lead, len(tokens.ids)):
        return tokens
    text, spans = tokens.text, tokens.spans
    if spans is not None:
        ends = (*accumulate((end for _, end in spans), max, initial=0),)
        head, gone = ends[lead], ends[start] - ends[lead]
        end = len(text) if stop == len(spans) else ends[stop]
        text = text[:head] + text[ends[start] : end]
        moved = ((max(head, first - gone), max(head, last - gone)) for first, last in spans[start:stop])
        spans = (*spans[:lead], *moved)
    ids = (*tokens.ids[:lead], *tokens.ids[start:stop])
    owners = tokens.owners
    if owners is not None:
        owners = (*owners[:lead], *owners[start:stop])
    return Tokens(ids, text, spans, owners, tokens.flags)
