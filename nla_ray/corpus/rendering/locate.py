"""Where each piece of a chat stands in its text: by one render with tokens, else by one for each piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nla_ray.corpus.rendering.fit import Found, fit
from nla_ray.corpus.rendering.model import RenderError
from nla_ray.corpus.rendering.pieces import Piece, Put, Unit
from nla_ray.corpus.rendering.sentinels import Nonce, Sentinels

MAX_WORK = 50_000_000
"""Characters that all renders of one chat may write together."""

Draw = Callable[[Put], str]
"""The text of a chat with something put for each of its pieces."""
Way = Callable[[], Sentinels]
"""A way to put tokens for pieces."""


def locate(text: str, template: str, draw: Draw) -> Found:
    """All pieces of a chat in its text; raises RenderError for one that is neither placed nor missing."""
    nonce = Nonce(text, template)
    ways = [
        partial(Sentinels, nonce, template),
        partial(Sentinels, nonce, template, empty=False),
        partial(Sentinels, nonce, template, empty=False, whole=False),
        partial(Sentinels, nonce, template, empty=False, whole=False, keys=False),
    ]
    return _by_render(text, draw, ways) or _one_by_one(text, draw, ways)


def _by_render(text: str, draw: Draw, ways: Sequence[Way], unit: Unit | None = None) -> Found | None:
    """Pieces, of one unit or of all, by the first way in which all that is no whitespace is proven."""
    for way in ways:
        found = _attempt(text, draw, way(), unit)
        if found is not None and all(_is_blank(piece) for piece in found.unproven):
            return found
    return None


def _attempt(text: str, draw: Draw, sentinels: Sentinels, unit: Unit | None) -> Found | None:
    """Pieces by one render; None where it does not agree with the text or the template refuses it."""

    def put(piece: Piece) -> Any:
        return sentinels(piece) if unit is None or piece.unit == unit else piece.value

    try:
        return fit(text, draw(put), sentinels)
    except RenderError:
        return None


def _one_by_one(text: str, draw: Draw, ways: Sequence[Way]) -> Found:
    units = _units(draw)
    if len(ways) * len(units) * len(text) > MAX_WORK:
        raise RenderError(
            f"the chat template treats contents by what is in them, and {len(units)} pieces in {len(text)} "
            "characters are too many to prove one by one"
        )
    found = [_one(text, draw, ways, piece) for piece in units.values()]
    placed = sorted((one for part in found for one in part.placed), key=lambda one: (one.start, one.end))
    return Found(
        tuple(placed),
        tuple(piece for part in found for piece in part.missing),
        tuple(piece for part in found for piece in part.unproven),
    )


def _one(text: str, draw: Draw, ways: Sequence[Way], piece: Piece) -> Found:
    found = _by_render(text, draw, ways, piece.unit)
    if found is not None:
        return found
    if _is_blank(piece):
        return Found((), (), (piece,))
    raise RenderError(f"{piece.words} cannot be found for sure in what the chat template writes")


def _units(draw: Draw) -> dict[Unit, Piece]:
    """The first piece of each unit that holds anything."""
    units: dict[Unit, Piece] = {}

    def put(piece: Piece) -> Any:
        if piece.value != "":
            units.setdefault(piece.unit, piece)
        return piece.value

    draw(put)
    return units


def _is_blank(piece: Piece) -> bool:
    return not str(piece.value).strip()
