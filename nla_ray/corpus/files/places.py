"""Where the rows of a corpus file are, and what is read there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Row = dict[str, Any] | str
"""A row of a file, or what is wrong with it."""


class Place(NamedTuple):
    """Where a row is: its line or row number from 1, and how to get there without what lies before it.

    `offset` is a byte (plain lines, Arrow streams), a row group (Parquet) or a record batch (Arrow files);
    `skip` rows of the file lie between it and the row. What is no plain lines of UTF-8 is counted from the
    start of the file: lines that are packed or in another encoding, values of an array.
    """

    number: int
    offset: int
    skip: int


Placed = Iterator[tuple[Place, Row]]
"""Rows with their places."""

START = Place(1, 0, 0)
