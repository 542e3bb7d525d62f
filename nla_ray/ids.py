"""Deterministic ids and keys: the same input has the same id on every machine, shard and order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

_SEPARATOR, _ESCAPE = "\x1f", "\x1b"
_UTF8 = ("utf-8", "surrogatepass")


def digest(*parts: object) -> str:
    """Hex sha256 (64 characters) of the parts; different parts never make the same text to hash."""
    return hashlib.sha256(_SEPARATOR.join(_escaped(str(part)) for part in parts).encode(*_UTF8)).hexdigest()


def row_id(doc_id: str, position: int, control: str) -> str:
    """Id of one vector to explain: a document's position under one control (32 hex characters)."""
    return digest("row", doc_id, position, control)[:32]


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


def _escaped(part: str) -> str:
    return part.replace(_ESCAPE, _ESCAPE * 2).replace(_SEPARATOR, _ESCAPE + _SEPARATOR)
