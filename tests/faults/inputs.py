"""Corpora with things in them that no document should be; the usual documents are in each."""

from __future__ import annotations

import json

from tests.faults.bench import DOCUMENTS, documents

BROKEN = [
    b'{"id": "cut", "text": "ends in the mid',
    b'{"id": "not-utf-8", "text": "\xff\xfe\xc3("}',
    b"null",
    b'{"id": "number", "text": 12}',
    b'{"id": "surrogate", "messages": "no list"}',
    b"[" * 5000,
    b'{"id": "no-columns"}',
]
EMPTY = 100_000


def broken() -> bytes:
    """Lines that are no documents, between those that are."""
    lines = documents(DOCUMENTS).splitlines(keepends=True)
    for at, line in enumerate(BROKEN):
        lines.insert(2 * at + 1, line + b"\n")
    return b"".join(lines)


def empty() -> bytes:
    """Many documents without a token, around the usual ones."""
    lines = [json.dumps({"id": f"empty-{at}", "text": ""}).encode() + b"\n" for at in range(EMPTY)]
    return b"".join(lines[: EMPTY // 2]) + documents(DOCUMENTS) + b"".join(lines[EMPTY // 2 :])


def endless() -> bytes:
    """A document of more than a million tokens, before the usual ones."""
    line = json.dumps({"id": "endless", "text": "the gears and the saddle " * 250_000})
    return line.encode() + b"\n" + documents(DOCUMENTS)
