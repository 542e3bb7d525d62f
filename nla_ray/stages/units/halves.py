"""Work that does not fit into memory at once is done by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def in_halves(work: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]) -> list[R]:
    """`work` of the items, one result each; where memory runs out, of each half for itself.

    Raises torch.OutOfMemoryError where one item alone is too much.
    """
    try:
        return list(work(items))
    except torch.OutOfMemoryError:
        if len(items) < 2:
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [*in_halves(work, items[:middle]), *in_halves(work, items[middle:])]
