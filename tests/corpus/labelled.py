"""Tokens that a test makes up: words with labels, each a span of its own text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from nla_ray.corpus.chats.model import Chat, Message
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.tokens import Tokens
from nla_ray.corpus.rendering.model import Owner
from nla_ray.tables import TEMPLATE

CHAT = Document("d", "s", chat=Chat((Message("user", "x"),)))
TEXT = Document("d", "s", text="x")


def labelled(*parts: tuple[Any, ...], known: bool = True) -> Tokens:
    """Tokens of (label, message, number, call) parts, with ids from 100; where `known` their text is too."""
    owners = tuple(
        None if label == TEMPLATE else Owner(label, message, *call)
        for label, message, n, *call in parts
        for _ in range(n)
    )
    return Tokens(*_words(len(owners), known), owners)


def plain(n: int, *, known: bool = True) -> Tokens:
    """Tokens of a plain text."""
    return Tokens(*_words(n, known))


def pieces(tokens: Tokens) -> Sequence[str]:
    """The text of each token, as its span has it."""
    return [tokens.text[start:end] for start, end in tokens.spans or ()]


def _words(n: int, known: bool) -> tuple[tuple[int, ...], str, tuple[tuple[int, int], ...] | None]:
    words = [f" é{at}" for at in range(n)]
    spans = tuple(pairwise(accumulate(map(len, words), initial=0)))
    return tuple(range(100, 100 + n)), "".join(words), spans if known else None
