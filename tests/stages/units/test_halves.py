"""What does not fit into memory at once is done by halves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from nla_ray.stages.units.halves import in_halves


def at_most(n: int, sizes: list[int]) -> object:
    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > n:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in items]

    return work


@pytest.mark.parametrize("n", [1, 3, 100])
def test_results_come_in_order_however_small_the_pieces(n: int) -> None:
    sizes: list[int] = []
    assert in_halves(at_most(n, sizes), range(11)) == [2 * item for item in range(11)]
    assert sizes[0] == 11 and sum(size for size in sizes if size <= n) == 11


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        in_halves(at_most(0, []), [1, 2])
