"""Which prompts are written on together."""

from __future__ import annotations

import random

from nla_ray.nla.generation.batches import batches


def alike(longest: int, own: int, _: int) -> bool:
    return 2 * own >= longest


def test_every_prompt_but_empty_ones_is_in_one_batch_of_alike_lengths() -> None:
    rng = random.Random(0)
    lengths = [rng.choice((0, rng.randrange(1, 200))) for _ in range(300)]
    found = batches(lengths, 16, alike)
    assert sorted(index for batch in found for index in batch) == [i for i, n in enumerate(lengths) if n]
    for batch in found:
        own = [lengths[index] for index in batch]
        assert len(batch) <= 16 and own == sorted(own, reverse=True) and 2 * own[-1] >= own[0]


def test_equal_lengths_keep_their_order_and_a_full_batch_is_followed_by_another() -> None:
    assert batches([3] * 5, 2, alike) == [[0, 1], [2, 3], [4]]
    assert batches([1, 9, 8], 9, lambda longest, own, count: longest * count <= 9) == [[1], [2], [0]]
    assert batches([], 2, alike) == batches([0, 0], 2, alike) == []
