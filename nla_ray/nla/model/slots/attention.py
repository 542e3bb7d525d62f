"""Attention over a shared prefix and static slots, for any decoder of transformers, without repeat.

It is registered under a name for which transformers builds no mask. The query heads that share a key-value
head are treated as its query rows, so nothing is repeated; against the prefix, the queries of all rows are
one matrix product per head. Every row has its own length: it stands from the first column of its slot on,
and what it sees is in the same columns whatever the others do. Columns that are read for longer rows are
hidden from it, and add zeros behind its own sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

from nla_ray.errors import EngineError
from nla_ray.nla.model.backbone import alone
from nla_ray.nla.model.blocks.stack import cached_by_attention
from nla_ray.nla.model.slots.kv import SlotKV, Slots, window

NAME = "nla_ray_slots"
"""Value of `attn_implementation` for a model whose forward pass is given `nla_slots=SlotPass(...)`."""


@dataclass(frozen=True)
class Piece:
    """Some columns, which rows of the batch read them, and the slots of these."""

    columns: slice
    rows: Slots
    slots: Slots


class SlotPass:
    """What one forward pass needs: keys and values, and where the tokens [B, T] of its rows go in them."""

    def __init__(self, kv: SlotKV, slots: Slots, columns_BT: torch.Tensor, lengths: Sequence[int]) -> None:
        """Token t of row i goes to column `columns_BT[i, t]` of slot `slots[i]`, and its query sees all
        columns up to that one. `lengths` are how many columns each row has to read; where it is fewer than
        it has, its output says nothing.
        """
        self.kv, self.slots, self.columns_BT = kv, slots, columns_BT
        self.columns = min(window(max(lengths)), kv.capacity)
        self.pieces = list(self._cut(lengths))
        self._masks: dict[int | None, torch.Tensor] = {}

    def _cut(self, lengths: Sequence[int]) -> Iterator[Piece]:
        """The columns in pieces, each with the rows that reach it; where these are many, with all of them."""
        for start in range(0, self.columns, self.kv.piece):
            columns = slice(start, min(start + self.kv.piece, self.columns))
            rows = [row for row, length in enumerate(lengths) if length > start]
            if 2 * len(rows) > len(lengths):
                yield Piece(columns, slice(None), self.slots)
                continue
            rows_M = torch.tensor(rows, device=self.columns_BT.device)
            slots_B = torch.arange(self.kv.slots, device=rows_M.device)[self.slots]
            yield Piece(columns, rows_M, slots_B[rows_M])

    def mask_BTX(self, dtype: torch.dtype, sliding: int | None) -> torch.Tensor:
        """What is added to a token's scores over the columns of prefix and slot: 0, or minus infinity.

        The future is hidden, and so is what lies `sliding` or more tokens back.
        """
        if sliding not in self._masks:
            prefix, device = self.kv.prefix, self.columns_BT.device
            at_P = torch.arange(prefix.columns, device=device)
            at_P[prefix.length :] = torch.iinfo(at_P.dtype).max // 2  # No token stands there.
            at_C = torch.arange(self.columns, device=device) + prefix.length
            distance_BTX = self.columns_BT[..., None] + prefix.length - torch.cat((at_P, at_C))
            hidden_BTX = distance_BTX < 0
            if sliding is not None:
                hidden_BTX |= distance_BTX >= sliding
            zeros_BTX = torch.zeros(hidden_BTX.shape, dtype=dtype, device=device)
            self._masks[sliding] = zeros_BTX.masked_fill_(hidden_BTX, float("-inf"))
        return self._masks[sliding]


def capped(values: torch.Tensor, softcap: float | None) -> torch.Tensor:
    """The values bent so that none is beyond +-`softcap`, as Gemma-2 does with scores and logits."""
    return values if softcap is None else torch.tanh(values / softcap) * softcap


def serves(model: Any) -> bool:
    """Whether all blocks attend to keys of their own, with no other limit than a window."""
    kinds = set(getattr(model.config, "layer_types", None) or ())
    return cached_by_attention(model) and kinds <= {"full_attention", "sliding_attention"}


def attend_by(model: Any, implementation: str) -> None:
    """Let a model attend in this way from now on."""
    with alone():
        model.set_attn_implementation(implementation)


@contextmanager
def attending(model: Any, implementation: str) -> Iterator[None]:
    """The same in this context, then as before."""
    own = model.config._attn_implementation
    attend_by(model, implementation)
    try:
        yield
    finally:
        attend_by(model, own)


def attend(
    module: torch.nn.Module,
    query_BHTD: torch.Tensor,
    key_BKTD: torch.Tensor,
    value_BKTD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    nla_slots: SlotPass,
    scaling: float,
    softcap: float | None = None,
    sliding_window: int | None = None,
    s_aux: torch.Tensor | None = None,
    **_unused: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of all rows over prefix and own tokens; [B, T, H, D] as transformers expects.

    Scores and probabilities are in the model's type, the softmax is in float32. Raises EngineError for
    attention sinks (`s_aux`).
    """
    if s_aux is not None:
        raise EngineError("slot attention knows no attention sinks; such a model is decoded by `plain`")
    layer: int = module.layer_idx  # type: ignore[assignment]
    batch, heads, steps, width = query_BHTD.shape
    kv_heads, deep = key_BKTD.shape[1], value_BKTD.shape[3]
    rows = heads // kv_heads * steps
    # R: the query rows of one key-value head, (query head in its group, step). X: columns of prefix and slot.
    query_BKRD = query_BHTD.reshape(batch, kv_heads, rows, width) * scaling
    kv, prefix = nla_slots.kv, nla_slots.kv.prefix
    kv.write(layer, nla_slots.slots, nla_slots.columns_BT, key_BKTD, value_BKTD)
    found = [(piece, kv.read(layer, piece.slots, piece.columns)) for piece in nla_slots.pieces]
    mask_BTX = nla_slots.mask_BTX(query_BHTD.dtype, sliding_window)
    scores_BKRX = query_BKRD.new_zeros(batch, kv_heads, rows, mask_BTX.shape[2])
    # Y: the query rows of the whole batch. M: rows of the batch that reach a piece of the columns.
    if prefix.length:
        query_KYD = query_BKRD.transpose(0, 1).reshape(kv_heads, batch * rows, width)
        scores_KYP = torch.bmm(query_KYD, prefix.blocks[layer][0])
        scores_BKRX[..., : prefix.columns] = scores_KYP.view(kv_heads, batch, rows, -1).transpose(0, 1)
    own_BKRC = scores_BKRX[..., prefix.columns :]
    for piece, own in found:
        own_BKRC[..., piece.columns][piece.rows] = torch.matmul(query_BKRD[piece.rows], own[0])
    scores_BKRX = capped(scores_BKRX, softcap)
    scores_BKRX.view(batch, -1, steps, mask_BTX.shape[2]).add_(mask_BTX[:, None])
    probs_BKRX = torch.softmax(scores_BKRX, dim=-1, dtype=torch.float32).to(query_BHTD.dtype)
    output_BKRD = query_BKRD.new_zeros(batch, kv_heads, rows, deep)
    for piece, own in found:
        probs_MKRC = probs_BKRX[..., prefix.columns :][..., piece.columns][piece.rows]
        output_BKRD[piece.rows] += torch.matmul(probs_MKRC, own[1])
    if prefix.length:
        probs_BKRP = probs_BKRX[..., : prefix.columns]
        probs_KYP = probs_BKRP.transpose(0, 1).reshape(kv_heads, batch * rows, prefix.columns)
        output_KYD = torch.bmm(probs_KYP, prefix.blocks[layer][1])
        output_BKRD += output_KYD.view(kv_heads, batch, rows, deep).transpose(0, 1)
    return output_BKRD.view(batch, heads, steps, deep).transpose(1, 2), None


AttentionInterface.register(NAME, attend)
