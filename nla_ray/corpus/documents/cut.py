"""Where a unit ends: after a number of documents, or where the documents themselves say."""

from __future__ import annotations

from typing import Literal

_BITS = 64


class Cut:
    """Goes over the documents of a corpus in order and ends units.

    By `content`, a document whose digest is below a bound ends its unit, once that has half of the
    `most` documents. What comes before the last cut has no effect on the next: documents that come or go move
    only the units beside them (1.8 for each place where some come or go), and it does not matter over which
    files they are spread. With a bound of 2 in `most` a unit has 0.8 of them on average.
    """

    def __init__(self, by: Literal["count", "content"], most: int) -> None:
        self.looks = by == "content"
        """Whether the digests matter."""
        self._most, self._least = most, (most + 1) // 2 if self.looks else most
        self._bound = min(2 / most, 1.0) * 2.0**_BITS
        self._n = 0

    def after(self, digest: str) -> bool:
        """Whether a unit ends with this document, by the digest (hex) of its content alone."""
        self._n += 1
        ends = self._n >= self._most or (
            self._n >= self._least and int(digest[: _BITS // 4], 16) < self._bound
        )
        self._n = 0 if ends else self._n
        return ends
