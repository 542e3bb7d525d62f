"""A text against the same text with tokens in the place of pieces: where each stands, at known offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nla_ray.corpus.rendering.forms import forms
from nla_ray.corpus.rendering.pieces import Piece
from nla_ray.corpus.rendering.sentinels import Sentinels


@dataclass(frozen=True)
class Placed:
    """A piece at its characters; `cut` where whitespace at its ends is missing."""

    piece: Piece
    start: int
    end: int
    cut: bool


@dataclass(frozen=True)
class Found:
    """All pieces of a chat: where they stand, once or more, and those that the template left out."""

    placed: tuple[Placed, ...]
    missing: tuple[Piece, ...]
    unproven: tuple[Piece, ...] = ()


def fit(text: str, drawn: str, sentinels: Sentinels) -> Found | None:
    """Pieces of a text by `drawn`, the text of the same template for tokens; None where the two do not agree.

    They agree where what stands between the tokens, with a form of each piece in their place, makes up the
    text exactly.
    """
    literals, tokens = _split(drawn, sentinels)
    placed = _placed(text, literals, [sentinels.pieces[token] for token in tokens])
    if placed is None:
        return None
    shown = set(tokens)
    missing = [piece for token, piece in sentinels.pieces.items() if token not in shown]
    return Found(tuple(placed), (*missing, *_torn(placed, literals)), tuple(sentinels.kept))


def _split(drawn: str, sentinels: Sentinels) -> tuple[list[str], list[str]]:
    parts = sentinels.pattern.split(drawn)
    return parts[::2], parts[1::2]


def _placed(text: str, literals: Sequence[str], pieces: Sequence[Piece]) -> list[Placed] | None:
    """One way in which literals and forms alternate to make up the text; whole forms are preferred."""
    reached: Mapping[int, tuple[int, int, bool]] = (
        {len(literals[0]): (0, 0, False)} if text.startswith(literals[0]) else {}
    )
    ways = []
    for piece, literal in zip(pieces, literals[1:], strict=True):
        reached = _step(text, reached, forms(piece.value), literal)
        if not reached:
            return None
        ways.append(reached)
    if len(text) not in reached:
        return None
    placed, end = [], len(text)
    for piece, way in zip(reversed(pieces), reversed(ways), strict=True):
        start, stop, cut = way[end]
        placed.append(Placed(piece, start, stop, cut))
        end = start
    return placed[::-1]


def _step(
    text: str, reached: Mapping[int, object], shapes: Mapping[str, bool], literal: str
) -> dict[int, tuple[int, int, bool]]:
    """Where the text goes on after a piece and a literal, with the piece's start, end and cut."""
    further: dict[int, tuple[int, int, bool]] = {}
    for at in reached:
        for shape, cut in shapes.items():
            end = at + len(shape)
            if text.startswith(shape, at) and text.startswith(literal, end):
                further.setdefault(end + len(literal), (at, end, cut))
    return further


def _torn(placed: Sequence[Placed], literals: Sequence[str]) -> list[Piece]:
    """Parts of split contents beside which the words that they were split at do not stand any more."""
    return [
        one.piece
        for one, before, after in zip(placed, literals[:-1], literals[1:], strict=True)
        if one.piece.before.strip() not in before or one.piece.after.strip() not in after
    ]
