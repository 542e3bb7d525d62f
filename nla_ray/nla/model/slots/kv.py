"""Keys and values of rows that share a prompt: one prefix for all, static slots for what each row adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

ALIGNED = 16
"""Tokens of a prefix and of a slot are read in multiples of this: shapes are few, and no kernel sums what is
left over in another order."""

Slots = slice | torch.Tensor
"""The slots of some rows: neighbours, or their numbers [B]."""


@dataclass(frozen=True)
class Prefix:
    """What all rows read first: `length` tokens, per block as transposed keys [kv_heads, head_dim, columns]
    and values [kv_heads, columns, head_dim]; the columns behind them are zero.
    """

    length: int = 0
    blocks: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()

    @property
    def columns(self) -> int:
        """Those of every block."""
        return aligned(self.length)


class SlotKV:
    """The shared prefix and, per block, own keys and values of every slot, at least `capacity` tokens long.

    Keys are kept transposed, [slots, kv_heads, head_dim, capacity]: a product of a few query rows with them
    then streams memory instead of gathering it. Buffers are made when a block first writes, in its shape
    and type. Columns are read in pieces of `piece`, by the rows that reach them; without it in one.
    """

    def __init__(
        self, slots: int, capacity: int, prefix: Prefix | None = None, piece: int | None = None
    ) -> None:
        self.slots, self.capacity, self.prefix = slots, window(capacity), prefix or Prefix()
        self.piece = piece or self.capacity
        self._own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def write(
        self,
        layer: int,
        slots: Slots,
        columns_BT: torch.Tensor,
        key_BKTD: torch.Tensor,
        value_BKTD: torch.Tensor,
    ) -> None:
        """Put the keys and values of some rows' tokens into these columns of their slots."""
        _, heads, _, width = key_BKTD.shape
        if layer not in self._own:
            self._own[layer] = (
                key_BKTD.new_zeros(self.slots, heads, width, self.capacity),
                value_BKTD.new_zeros(self.slots, heads, self.capacity, value_BKTD.shape[3]),
            )
        key_SKDC, value_SKCD = self._own[layer]
        rows_B1 = torch.arange(self.slots, device=columns_BT.device)[slots, None]
        key_SKDC.permute(0, 3, 1, 2)[rows_B1, columns_BT] = key_BKTD.transpose(1, 2)
        value_SKCD.transpose(1, 2)[rows_B1, columns_BT] = value_BKTD.transpose(1, 2)

    def read(self, layer: int, slots: Slots, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Columns of some rows: keys [B, kv_heads, head_dim, columns] and values [B, kv_heads,
        columns, head_dim]; views, where the slots are neighbours.
        """
        key_SKDC, value_SKCD = self._own[layer]
        return key_SKDC[..., columns][slots], value_SKCD[:, :, columns][slots]

    def clear(self, slots: Slots) -> None:
        """Forget what these slots hold: what is hidden counts nothing, but for NaN."""
        for buffers in self._own.values():
            for buffer in buffers:
                buffer[slots] = 0

    def keep(self, order_N: torch.Tensor) -> None:
        """Slot i takes what slot `order_N[i]` holds; slots behind these hold nothing of use any more."""
        moved_M = (order_N != torch.arange(len(order_N), device=order_N.device)).nonzero().squeeze(1)
        for buffers in self._own.values():
            for buffer in buffers:
                buffer[moved_M] = buffer[order_N[moved_M]]

    def as_prefix(self, length: int) -> Prefix:
        """The first tokens of slot 0, as the prefix of another SlotKV."""
        stop = aligned(length)
        kept = [(key[0, ..., :stop], value[0, :, :stop]) for _, (key, value) in sorted(self._own.items())]
        return Prefix(length, kept)


def aligned(length: int) -> int:
    """The least multiple of ALIGNED that is not shorter."""
    return -(-length // ALIGNED) * ALIGNED


def window(length: int) -> int:
    """How many columns of the slots are read for rows of at most `length` tokens.

    Below two multiples a library may take other kernels, which round otherwise.
    """
    return max(2 * ALIGNED, aligned(length))
