"""Tokens that a test makes up: words with labels, each a span of its own text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from nla_ray.corpus.documents import Document
from nla_ray.corpus.tokens import Tokens

CHAT = Document("d", "s", messages=({"role": "user", "content": "x"},))
TEXT = Document("d", "s", text="x")


def labelled(*parts: tuple[str, int, int], known: bool = True) -> Tokens:
    """Tokens of (label, message, number) parts; their ids count from 100. Where `known` their text is too."""
    labels = tuple(label for label, _, n in parts for _ in range(n))
    messages = tuple(message for _, message, n in parts for _ in range(n))
    return Tokens(*_words(len(labels), known), labels, messages)


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
