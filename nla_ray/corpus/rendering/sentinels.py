"""Tokens that stand in for the pieces of a chat, so that a template shows where it writes each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from nla_ray.corpus.rendering.pieces import Piece

_QUOTED = r"""(?:"(?P<{0}d>(?:\\.|[^"\\])+)"|'(?P<{0}s>(?:\\.|[^'\\])+)')"""
_TESTS = re.compile(
    _QUOTED.format("a")
    + r"\s+(?:not\s+)?in\b|(?:split|startswith|endswith|replace|find|index|count|partition)\(\s*"
    + _QUOTED.format("b")
)
_TAGS = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,40}\]")


class Sentinels:
    """Puts a token for each piece and remembers which is whose.

    Without `empty`, what is only whitespace, true, false or null stays as it is (`kept`). Without `whole`,
    contents are split at the words that a template can test for, which stay too. Without `keys`, the keys of
    arguments stay, for a template that asks for them by name.
    """

    def __init__(
        self, nonce: Nonce, template: str, *, empty: bool = True, whole: bool = True, keys: bool = True
    ) -> None:
        self.pieces: dict[str, Piece] = {}
        self.kept: list[Piece] = []
        self.pattern = nonce.pattern
        self._nonce, self._empty, self._keys = nonce, empty, keys
        self._tested = None if whole else tested_words(template)

    def __call__(self, piece: Piece) -> Any:
        """What a template gets in the place of a piece."""
        value = piece.value
        if isinstance(value, str):
            return self._text(piece)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(self._token(piece, self._nonce.number))
        return int(self._token(piece, self._nonce.number)) if self._empty else value

    def _text(self, piece: Piece) -> str:
        value: str = piece.value
        if piece.ranks and not self._keys:
            return value
        if piece.ranks is None and not value.strip() and (not value or not self._empty):
            self.kept += [piece] if value else []
            return value
        if self._tested is None or piece.call is not None:
            return self._token(piece, self._nonce.word)
        return self._parts(piece, self._tested.split(value))

    def _parts(self, piece: Piece, parts: list[str]) -> str:
        """A content with a token for each part that is no tested word and not only whitespace."""
        is_text = [not at % 2 and bool(part.strip()) for at, part in enumerate(parts)]
        if not any(is_text):
            self.kept.append(piece)
            return str(piece.value)
        first = is_text.index(True)
        out = before = "".join(parts[:first])
        for at in (at for at, text in enumerate(is_text) if text):
            end = next((later for later in range(at + 1, len(parts)) if is_text[later]), len(parts))
            after = "".join(parts[at + 1 : end])
            part = replace(piece, value=parts[at], before=before if at == first else "", after=after)
            out += self._token(part, self._nonce.word) + after
        return out

    def _token(self, piece: Piece, start: str) -> str:
        number = f"{len(self.pieces):08d}"
        if start == self._nonce.word:
            # The rank first: a template that sorts keys sorts their tokens alike.
            rank = piece.ranks[0 if self._empty else 1] if piece.ranks else 0
            number = f"{rank:08d}n{number}z"
        self.pieces[start + number] = piece
        return start + number


class Nonce:
    """How tokens begin: a word and a number that stand nowhere in the texts to avoid."""

    def __init__(self, *avoid: str) -> None:
        self.word, self.number = next(
            pair for pair in _nonces(avoid[0]) if not any(one in text for one in pair for text in avoid)
        )
        self.pattern = re.compile(f"({self.word}[0-9]{{8}}n[0-9]{{8}}z|{self.number}[0-9]{{8}})")


def _nonces(seed: str) -> Iterator[tuple[str, str]]:
    for attempt in count():
        digest = hashlib.sha256(f"{attempt}:{seed}".encode("utf-8", "surrogatepass")).hexdigest()
        yield f"q{digest[:12]}x", f"7{int(digest, 16) % 10**9:09d}"


def tested_words(template: str) -> re.Pattern[str] | None:
    """What a template can test a content for: words that it looks for, and tags that stand in it."""
    found = {next(filter(None, match.groups())) for match in _TESTS.finditer(template)}
    words = {_unescaped(word) for word in found} | set(_TAGS.findall(template))
    longest_first = sorted((word for word in words if word.strip()), key=lambda word: (-len(word), word))
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None


def _unescaped(word: str) -> str:
    return word.replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'").replace('\\"', '"')
