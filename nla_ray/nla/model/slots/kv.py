"""Keys and values of rows that share a prompt: one prefix for all, static slots for what each row adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Prefix = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Per block: keys [kv_heads, head_dim, prefix], transposed, and values [kv_heads, prefix, head_dim]."""


@dataclass(frozen=True)
class Span:
    """Rows in lock-step: rows `batch` of the running pass live in `slots` and have `start` own tokens."""

    batch: slice
    slots: slice
    start: int


class SlotKV:
    """The shared prefix and, per block, own keys and values of every slot, `capacity` tokens long.

    Keys are kept transposed, [slots, kv_heads, head_dim, capacity]: a product of a few query rows with them
    then streams memory instead of gathering it. Buffers are made when a block first writes, in its shape
    and type.
    """

    def __init__(self, slots: int, capacity: int, prefix: Prefix = ()) -> None:
        self.slots, self.capacity, self.prefix = slots, capacity, prefix
        self._own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def append(
        self, layer: int, span: Span, key_BKTD: torch.Tensor, value_BKTD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add this pass's keys and values of the span's rows to what the rows have.

        Returns all of theirs: keys [rows, kv_heads, head_dim, length] and values [rows, kv_heads, length,
        head_dim], views, not copies.
        """
        _, heads, steps, width = key_BKTD.shape
        if layer not in self._own:
            self._own[layer] = (
                key_BKTD.new_zeros(self.slots, heads, width, self.capacity),
                value_BKTD.new_zeros(self.slots, heads, self.capacity, value_BKTD.shape[3]),
            )
        key_SKDT, value_SKTD = (buffer[span.slots] for buffer in self._own[layer])
        stop = span.start + steps
        key_SKDT[..., span.start : stop] = key_BKTD[span.batch].transpose(2, 3)
        value_SKTD[:, :, span.start : stop] = value_BKTD[span.batch]
        return key_SKDT[..., :stop], value_SKTD[:, :, :stop]

    def keep(self, order_N: torch.Tensor) -> None:
        """Slot i takes what slot `order_N[i]` holds; slots behind these hold nothing of use any more."""
        moved_M = (order_N != torch.arange(len(order_N), device=order_N.device)).nonzero().squeeze(1)
        for buffers in self._own.values():
            for buffer in buffers:
                buffer[moved_M] = buffer[order_N[moved_M]]

    def as_prefix(self) -> Prefix:
        """What slot 0 holds, as the prefix of another SlotKV."""
        return [(key[0], value[0]) for _, (key, value) in sorted(self._own.items())]
