"""Slot attention against the textbook: every row alone, all of its keys in one piece, one mask."""

from __future__ import annotations

import math

import pytest
import torch

from nla_ray.nla.model.slots.attention import SlotPass, attend
from nla_ray.nla.model.slots.kv import SlotKV, Span

SLOTS, HEADS, KV_HEADS, WIDTH, PREFIX, CAPACITY = 6, 4, 2, 8, 5, 9


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
def test_cohorts_of_different_age_attend_like_single_rows(
    prefix: int, window: int | None, softcap: float | None
) -> None:
    torch.manual_seed(0)
    shared = (torch.randn(KV_HEADS, WIDTH, prefix), torch.randn(KV_HEADS, prefix, WIDTH))
    kv = SlotKV(SLOTS, CAPACITY, [shared] if prefix else ())
    keys, values = torch.randn(2, SLOTS, KV_HEADS, CAPACITY, WIDTH)
    options = {"scaling": WIDTH**-0.5, "softcap": softcap, "sliding_window": window}

    def run(spans: list[Span], steps: int) -> None:
        batch = max(span.batch.stop for span in spans)
        query, key, value = (
            torch.randn(batch, HEADS, steps, WIDTH),
            *torch.zeros(2, batch, KV_HEADS, steps, WIDTH),
        )
        for span in spans:
            at = slice(span.start, span.start + steps)
            key[span.batch], value[span.batch] = keys[span.slots, :, at], values[span.slots, :, at]
        found, _ = attend(Block(), query, key, value, None, nla_slots=SlotPass(kv, spans), **options)
        for span in spans:
            for row, slot in zip(range(batch)[span.batch], range(SLOTS)[span.slots], strict=True):
                stop = span.start + steps
                all_keys = torch.cat([shared[0].transpose(1, 2), keys[slot, :, :stop]], dim=1)
                all_values = torch.cat([shared[1], values[slot, :, :stop]], dim=1)
                expected = textbook(query[row], all_keys, all_values, softcap, window)
                torch.testing.assert_close(found[row], expected)

    young, old = slice(0, 3), slice(3, 6)
    run([Span(slice(0, 3), old, 0)], steps=4)
    run([Span(old, old, 4)], steps=1)
    run([Span(slice(0, 3), young, 0)], steps=4)
    run([Span(young, young, 4), Span(old, old, 5)], steps=1)


def test_unused_slots_give_zeros() -> None:
    kv = SlotKV(4, 3, [(torch.randn(KV_HEADS, WIDTH, 2), torch.randn(KV_HEADS, 2, WIDTH))])
    query, key, value = torch.randn(4, HEADS, 1, WIDTH), *torch.randn(2, 4, KV_HEADS, 1, WIDTH)
    spans = [Span(slice(2, 4), slice(2, 4), 0)]
    found, _ = attend(Block(), query, key, value, None, nla_slots=SlotPass(kv, spans), scaling=1.0)
    assert not found[:2].any()
    assert found[2:].all()
