"""Of the chosen positions of a document those that a sampling budget keeps, by what kind they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from nla_ray.config.reading.sample import Kind, Sample
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.tokens import Tokens
from nla_ray.ids import digest

KEYS = 2**64
"""Keys of positions are below it, and as likely to be anywhere."""

_LENGTHS = (64, 256, 1024, 4096)
PLAIN = "text"
"""The role of tokens without one."""


class Sampler:
    """Keeps the positions whose key is below the rate of their stratum."""

    def __init__(self, how: Sample, seed: int, special_ids: frozenset[int]) -> None:
        self._how, self._seed, self._special_ids = how, seed, special_ids
        rates = how.rates or {}
        self._bounds = {stratum: round(rate * KEYS) for stratum, rate in rates.items()}

    def kept(self, document: Document, tokens: Tokens, chosen: Sequence[int]) -> list[int]:
        """Those that are kept, in order."""
        return [
            at
            for at in chosen
            if self.key(document, at) < self._bounds.get(self.stratum(document, tokens, at), 0)
        ]

    def key(self, document: Document, position: int) -> int:
        """64 bits that follow from the seed, the sample's key, the document and the position."""
        name = digest("sample", self._seed, self._how.key, document.doc_id, position)
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")

    def stratum(self, document: Document, tokens: Tokens, position: int) -> str:
        """The stratum of a position: what `by` says of it, joined by blanks."""
        return " ".join(self._part(kind, document, tokens, position) for kind in self._how.by) or "all"

    def _part(self, kind: Kind, document: Document, tokens: Tokens, position: int) -> str:
        match kind:
            case "role":
                return PLAIN if tokens.labels is None else tokens.labels[position]
            case "token_class":
                special = tokens.ids[position] in self._special_ids
                return "special" if special else token_class(tokens, position)
            case "length":
                return length_class(len(tokens.ids))
            case "source":
                return document.source.rpartition(":")[0].rpartition("/")[2]


def token_class(tokens: Tokens, position: int) -> str:
    """What kind of text a token is; `unknown` where it is not known where tokens stand."""
    if tokens.spans is None:
        return "unknown"
    start, end = tokens.spans[position]
    said = tokens.text[start:end]
    bare = said.strip()
    if not bare:
        return "space"
    if bare.isdigit():
        return "number"
    if not any(one.isalnum() for one in bare):
        return "punctuation"
    inside = said[0].isalnum() and start > 0 and tokens.text[start - 1].isalnum()
    return "word-piece" if inside else "word"


def length_class(tokens: int) -> str:
    """How long a document is: `<64`, `<256`, `<1024`, `<4096` tokens, or `4096+`."""
    return next((f"<{most}" for most in _LENGTHS if tokens < most), f"{_LENGTHS[-1]}+")
