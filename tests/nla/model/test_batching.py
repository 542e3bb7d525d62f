"""Buckets hold every non-empty row once, within the token budget, alike in length."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nla_ray.errors import InputError
from nla_ray.nla.model.batching import length_buckets, pad_right, refuse_foreign_ids


def test_every_row_is_in_one_bucket_within_the_budget() -> None:
    rng = random.Random(0)
    lengths = [rng.randrange(0, 120) for _ in range(500)]
    buckets = length_buckets(lengths, 400)
    assert sorted(i for bucket in buckets for i in bucket) == [i for i, n in enumerate(lengths) if n]
    for bucket in buckets:
        longest = max(lengths[i] for i in bucket)
        assert len(bucket) == 1 or longest * len(bucket) <= 400
    padded = sum(len(bucket) * max(lengths[i] for i in bucket) for bucket in buckets)
    assert padded < 1.05 * sum(lengths)


def test_longest_first_and_equal_lengths_in_order() -> None:
    assert length_buckets([2, 5, 2, 9, 0], 6) == [[3], [1], [0, 2]]


def test_a_row_beyond_the_budget_goes_alone() -> None:
    assert length_buckets([50, 3, 3], 10) == [[0], [1, 2]]


def test_nothing_to_do() -> None:
    assert length_buckets([], 10) == []
    assert length_buckets([0, 0], 10) == []


def test_padding_stands_on_the_right() -> None:
    padded = pad_right([[5, 6, 7], np.array([8])], "cpu")
    assert padded.dtype == torch.int64
    assert padded.tolist() == [[5, 6, 7], [8, 0, 0]]


def test_ids_outside_the_vocabulary_are_named() -> None:
    refuse_foreign_ids([[], [0, 9]], 10, "document")
    with pytest.raises(InputError, match=r"document 1: token id 10 .* allowed 0\.\.9"):
        refuse_foreign_ids([[1], [0, 10]], 10, "document")
