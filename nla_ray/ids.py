"""Deterministic ids and keys: the same input has the same id on every machine, shard and order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import lru_cache

_SEPARATOR, _ESCAPE = "\x1f", "\x1b"
_UTF8 = ("utf-8", "surrogatepass")


def digest(*parts: object) -> str:
    """Hex sha256 (64 characters) of the parts; different parts never make the same text to hash."""
    return hashlib.sha256(_joined(parts)).hexdigest()


class Beginning:
    """The digests of parts of which all but the last are alike, which are hashed once."""

    def __init__(self, *parts: object) -> None:
        self._hash = hashlib.sha256(_joined((*parts, "")))

    def digest(self, name: str) -> str:
        """What `digest` gives for these parts and a name, in which nothing is to be escaped."""
        found = self._hash.copy()
        found.update(name.encode())
        return found.hexdigest()


def row_id(doc_id: str, position: int, control: str) -> str:
    """Id of one vector to explain: a document's position under one control (32 hex characters)."""
    return rows_of(doc_id)(position, control)


@lru_cache(maxsize=16)
def rows_of(doc_id: str) -> Callable[[int, str], str]:
    """The same for many positions of one document; a control is one of `tables.CONTROLS` or `real`."""
    beginning = Beginning("row", doc_id)
    return lambda position, control: beginning.digest(f"{position}{_SEPARATOR}{control}")[:32]


def sampling_key(seed: int, row: str, sample: int) -> int:
    """Signed 64-bit key of one answer; with the step it determines every uniform of that answer."""
    raw = hashlib.blake2b(f"{seed}|{row}|{sample}".encode(*_UTF8), digest_size=8).digest()
    return int.from_bytes(raw, "little", signed=True)


def sample_positions(seed: int, doc_id: str, candidates: Sequence[int], n: int) -> list[int]:
    """`n` of the candidate positions (all of them when there are fewer), in ascending order.

    The sampler of the published data sets, keyed by seed and document: sharding cannot change the sample.
    """
    key = hashlib.sha256(f"{seed}|{doc_id}".encode(*_UTF8)).digest()
    return sorted(random.Random(key).sample(candidates, min(n, len(candidates))))


def _joined(parts: Sequence[object]) -> bytes:
    """Parts as the bytes to hash; few hold a character that is escaped."""
    texts = list(map(str, parts))
    joined = _SEPARATOR.join(texts)
    if _ESCAPE in joined or joined.count(_SEPARATOR) >= len(texts):
        joined = _SEPARATOR.join(map(_escaped, texts))
    return joined.encode(*_UTF8)


def _escaped(part: str) -> str:
    return part.replace(_ESCAPE, _ESCAPE * 2).replace(_SEPARATOR, _ESCAPE + _SEPARATOR)
