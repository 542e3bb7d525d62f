"""Batches of rows of alike length: what keeps padding from being most of the work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from nla_ray.errors import InputError

Ids = Sequence[int] | npt.NDArray[np.integer]


def length_buckets(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group rows by length so that rows x longest row <= `batch_tokens` (a longer row goes alone).

    Indices into `lengths`, longest rows first, so that a batch that does not fit in memory fails at once;
    empty rows are in no bucket. Equal lengths keep their order.
    """
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    buckets: list[list[int]] = []
    for index in order:
        if buckets and (len(buckets[-1]) + 1) * lengths[buckets[-1][0]] <= batch_tokens:
            buckets[-1].append(index)
        else:
            buckets.append([index])
    return buckets


def pad_right(rows: Sequence[Ids], device: str | torch.device) -> torch.Tensor:
    """Token ids [rows, longest row] on the device, zeros on the right.

    A causal model's row never sees what stands to its right, so the padding needs no attention mask.
    """
    ids = np.zeros((len(rows), max(len(row) for row in rows)), dtype=np.int64)
    for row, out in zip(rows, ids, strict=True):
        out[: len(row)] = row
    return torch.from_numpy(ids).to(device)


def refuse_foreign_ids(rows: Sequence[Ids], vocab_size: int, what: str) -> None:
    """Raise InputError naming the first row with an id outside the vocabulary: it would take a GPU down."""
    for index, row in enumerate(rows):
        if len(row) and (min(row) < 0 or max(row) >= vocab_size):
            wrong = min(row) if min(row) < 0 else max(row)
            raise InputError(
                f"{what} {index}: token id {wrong} is outside the vocabulary, allowed 0..{vocab_size - 1}; "
                "tokenize with the tokenizer of this model"
            )
