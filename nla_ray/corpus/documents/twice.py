"""Ids that a corpus uses more than once, found in memory that hardly grows with its documents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

import numpy as np

ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("order", "<i8")])
"""A key in two halves, and twice the number of its document in the corpus; odd for the key it has instead."""

PARTS = 64
_SPOOL_BYTES = 1 << 20
"""Bytes of a part that are held in memory before it goes to the disk."""


class Twice:
    """Takes the keys of all documents; holds 24 bytes of each, in parts by key, on disk if they are many.

    One part at a time is in memory: 0.4 bytes a document.
    """

    def __init__(self) -> None:
        self._exit = ExitStack()
        self._parts = [tempfile.SpooledTemporaryFile(_SPOOL_BYTES) for _ in range(PARTS)]  # noqa: SIM115
        for part in self._parts:
            self._exit.enter_context(part)
        self._documents = 0

    def __enter__(self) -> Self:
        """Nothing is taken before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what is on disk."""
        self._exit.close()

    def add(self, keys: Sequence[bytes]) -> None:
        """The keys (16 bytes each) of the next documents of the corpus."""
        self._put(keys, range(2 * self._documents, 2 * (self._documents + len(keys)), 2))
        self._documents += len(keys)

    def found(self, renamed: Callable[[Sequence[int]], Sequence[bytes]]) -> Mapping[int, int]:
        """Documents whose key an earlier one has, each with the first that has it, by their numbers.

        `renamed` says which key each of some documents has instead, once it is known to be such a one; that
        may be the key of a later one.
        """
        found: dict[int, int] = {}
        parts = set(range(PARTS))
        while parts:
            more = {number: at for part in parts for number, at in self._repeated(part)}
            new = sorted(more.keys() - found.keys())
            found |= more
            parts = self._put(renamed(new), [2 * number + 1 for number in new])
        return found

    def _put(self, keys: Sequence[bytes], order: Sequence[int]) -> set[int]:
        """Append the keys of some documents to their parts; returns these."""
        entries = np.empty(len(keys), ENTRY)
        halves = np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2)
        entries["high"], entries["low"], entries["order"] = halves[:, 0], halves[:, 1], order
        of = entries["high"] % PARTS
        there = {int(part) for part in np.unique(of)}
        for part in there:
            self._parts[part].write(entries[of == part].tobytes())
        return there

    def _repeated(self, part: int) -> list[tuple[int, int]]:
        """(number of a document, that of the first one with its key) of a part."""
        file = self._parts[part]
        file.seek(0)
        entries = np.frombuffer(file.read(), ENTRY)
        entries = entries[np.lexsort((entries["order"], entries["low"], entries["high"]))]
        starts = np.arange(len(entries)) == 0
        for half in ("high", "low"):
            starts[1:] |= entries[half][1:] != entries[half][:-1]
        first = entries["order"][np.maximum.accumulate(np.where(starts, np.arange(len(entries)), 0))]
        own, first = entries["order"] // 2, first // 2
        again = (entries["order"] % 2 == 0) & (own != first)
        return list(zip(own[again].tolist(), first[again].tolist(), strict=True))
