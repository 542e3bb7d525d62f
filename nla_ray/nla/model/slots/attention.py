"""Attention over a shared prefix and static slots, for any decoder of transformers, without repeat.

It is registered under a name for which transformers builds no mask. The query heads that share a key-value
head are treated as its query rows, so nothing is repeated; against the prefix, the queries of all rows are
one matrix product per head. Every row has its own length: it stands from the first column of its slot on,
and what it sees is in the same columns whatever the others do. Columns that are read for longer rows are
hidden from it, and add zeros behind its own sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface

from nla_ray.errors import EngineError
from nla_ray.nla.model.backbone import alone
from nla_ray.nla.model.blocks.stack import cached_by_attention
from nla_ray.nla.model.slots.kv import SlotKV, Slots, window

NAME = "nla_ray_slots"
"""Value of `attn_implementation` for a model whose forward pass is given `nla_slots=SlotPass(...)`."""


class SlotPass:
    """What one forward pass needs: keys and values, and where the tokens [B, T] of its rows go in them."""

    def __init__(self, kv: SlotKV, slots: Slots, columns_BT: torch.Tensor, length: int) -> None:
        """Token t of row i goes to column `columns_BT[i, t]` of slot `slots[i]`, and its query sees all
        columns up to that one; the longest of the rows that matter has `length` tokens then.
        """
        self.kv, self.slots, self.columns_BT = kv, slots, columns_BT
        self.columns = min(window(length), kv.capacity)
        self._masks: dict[int | None, torch.Tensor] = {}

    def append(
        self, layer: int, key_BKTD: torch.Tensor, value_BKTD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add this pass's keys and values of a block; returns all that its rows have, see `SlotKV.read`."""
        self.kv.write(layer, self.slots, self.columns_BT, key_BKTD, value_BKTD)
        return self.kv.read(layer, self.slots, self.columns)

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
    **_: Any,
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
    key_BKDC, value_BKCD = nla_slots.append(layer, key_BKTD, value_BKTD)
    own_BKRC = torch.matmul(query_BKRD, key_BKDC)
    prefix = nla_slots.kv.prefix
    if not prefix.length:
        scores_BKRX = own_BKRC
    else:
        query_KYD = query_BKRD.transpose(0, 1).reshape(kv_heads, batch * rows, width)
        scores_KYP = torch.bmm(query_KYD, prefix.blocks[layer][0])
        scores_BKRP = scores_KYP.view(kv_heads, batch, rows, -1).transpose(0, 1)
        scores_BKRX = torch.cat((scores_BKRP, own_BKRC), dim=-1)
    scores_BKRX = capped(scores_BKRX, softcap)
    mask_BTX = nla_slots.mask_BTX(scores_BKRX.dtype, sliding_window)
    scores_BKRX.view(batch, -1, steps, mask_BTX.shape[2]).add_(mask_BTX[:, None])
    probs_BKRX = torch.softmax(scores_BKRX, dim=-1, dtype=torch.float32).to(query_BHTD.dtype)
    output_BKRD = torch.matmul(probs_BKRX[..., prefix.columns :], value_BKCD)
    if prefix.length:
        probs_BKRP = probs_BKRX[..., : prefix.columns]
        probs_KYP = probs_BKRP.transpose(0, 1).reshape(kv_heads, batch * rows, prefix.columns)
        output_KYD = torch.bmm(probs_KYP, prefix.blocks[layer][1])
        output_BKRD = output_BKRD + output_KYD.view(kv_heads, batch, rows, deep).transpose(0, 1)
    return output_BKRD.view(batch, heads, steps, deep).transpose(1, 2), None


AttentionInterface.register(NAME, attend)
