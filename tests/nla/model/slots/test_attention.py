"""Slot attention against the textbook: every row alone, all of its keys in one piece, one mask."""

from __future__ import annotations

import math

import pytest
import torch

from nla_ray.nla.model.slots.attention import SlotPass, attend
from nla_ray.nla.model.slots.kv import Prefix, SlotKV, Slots

SLOTS, HEADS, KV_HEADS, WIDTH, PREFIX, CAPACITY, PIECE = 6, 4, 2, 8, 5, 64, 32
PREFIX_KEYS, PREFIX_VALUES = torch.randn(
    2, KV_HEADS, PREFIX, WIDTH, generator=torch.Generator().manual_seed(1)
)


class Block(torch.nn.Module):
    layer_idx = 0


def textbook(
    query_HTD: torch.Tensor,
    key_KND: torch.Tensor,
    value_KND: torch.Tensor,
    softcap: float | None,
    window: int | None,
) -> torch.Tensor:
    """[T, H, D]: attention of the last T of N tokens of one row."""
    heads, steps, width = query_HTD.shape
    key, value = (x.repeat_interleave(heads // len(x), dim=0) for x in (key_KND, value_KND))
    total = key.shape[1]
    scores = query_HTD @ key.transpose(1, 2) / math.sqrt(width)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    for step in range(steps):
        for at in range(total):
            distance = total - steps + step - at
            if distance < 0 or (window is not None and distance >= window):
                scores[:, step, at] = float("-inf")
    return (torch.softmax(scores, dim=-1) @ value).transpose(0, 1)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 3, 6, 100])
@pytest.mark.parametrize("prefix", [0, PREFIX])
def test_rows_of_any_length_attend_like_single_rows(
    prefix: int, window: int | None, softcap: float | None
) -> None:
    torch.manual_seed(0)
    keys, values = torch.randn(2, SLOTS, KV_HEADS, CAPACITY, WIDTH)
    kv = SlotKV(SLOTS, CAPACITY, prefix_of(prefix), PIECE)
    options = {"scaling": WIDTH**-0.5, "softcap": softcap, "sliding_window": window}

    def run(slots: Slots, starts: list[int], steps: int) -> None:
        rows = range(SLOTS)[slots] if isinstance(slots, slice) else slots.tolist()
        columns_BT = torch.tensor(starts)[:, None] + torch.arange(steps)
        query = torch.randn(len(rows), HEADS, steps, WIDTH)
        key, value = (
            torch.stack([all_[slot][:, at] for slot, at in zip(rows, columns_BT, strict=True)])
            for all_ in (keys, values)
        )
        told = SlotPass(kv, slots, columns_BT, [start + steps for start in starts])
        found, _ = attend(Block(), query, key, value, None, nla_slots=told, **options)
        for row, (slot, start) in enumerate(zip(rows, starts, strict=True)):
            stop = start + steps
            shared = [one[:, :prefix] for one in (PREFIX_KEYS, PREFIX_VALUES)]
            own = (keys[slot, :, :stop], values[slot, :, :stop])
            every = [torch.cat(both, dim=1) for both in zip(shared, own, strict=True)]
            torch.testing.assert_close(found[row], textbook(query[row], *every, softcap, window))

    run(torch.tensor([4, 1, 3]), [0, 0, 0], steps=4)
    run(torch.tensor([0, 2, 5]), [0, 0, 0], steps=2)
    run(slice(None), [2, 4, 2, 4, 4, 2], steps=1)
    kv.clear(torch.tensor([4]))
    run(torch.tensor([4]), [0], steps=40)
    run(slice(None), [3, 5, 3, 5, 40, 3], steps=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_longer_neighbour_changes_no_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    query = torch.randn(SLOTS, HEADS, 1, WIDTH, dtype=dtype)
    key, value = torch.randn(2, SLOTS, KV_HEADS, 1, WIDTH, dtype=dtype)
    cache = torch.randn(2, SLOTS, KV_HEADS, CAPACITY, WIDTH, dtype=dtype)
    outputs = []
    for longest in (9, 31, 47, CAPACITY - 1):
        kv, rows = SlotKV(SLOTS, CAPACITY, prefix_of(PREFIX, dtype), PIECE), slice(None)
        kv.write(0, rows, torch.arange(CAPACITY).expand(SLOTS, -1), *cache)
        columns_B1 = torch.tensor([8, 8, 3, 8, 0, longest])[:, None]
        told = SlotPass(kv, rows, columns_B1, (columns_B1[:, 0] + 1).tolist())
        outputs.append(attend(Block(), query, key, value, None, nla_slots=told, scaling=0.3)[0][:-1])
    assert all(torch.equal(one, outputs[0]) for one in outputs)


def prefix_of(length: int, dtype: torch.dtype = torch.float32) -> Prefix:
    """A prefix of so many tokens, as a pass over it leaves it."""
    kv = SlotKV(1, PREFIX)
    columns_1T = torch.arange(length)[None]
    kv.write(
        0, slice(0, 1), columns_1T, *(one[None, :, :length].to(dtype) for one in (PREFIX_KEYS, PREFIX_VALUES))
    )
    return kv.as_prefix(length)


def test_what_a_slot_held_before_does_not_matter() -> None:
    kv, rows = SlotKV(1, CAPACITY), torch.tensor([0])
    query, key, value = torch.randn(1, HEADS, 2, WIDTH), *torch.randn(2, 1, KV_HEADS, 2, WIDTH)
    told = {"nla_slots": SlotPass(kv, rows, torch.arange(2)[None], [2]), "scaling": 1.0}
    before, _ = attend(Block(), query, key, value, None, **told)  # type: ignore[arg-type]
    spoiled = torch.full((1, KV_HEADS, CAPACITY, WIDTH), float("nan"))
    kv.write(0, rows, torch.arange(CAPACITY)[None], spoiled, spoiled)
    kv.clear(rows)
    assert torch.equal(attend(Block(), query, key, value, None, **told)[0], before)  # type: ignore[arg-type]
