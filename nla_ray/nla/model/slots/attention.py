"""Attention over a shared prefix and static slots, for any decoder of transformers, without mask or repeat.

It is registered under a name for which transformers builds no mask. The query heads that share a key-value
head are treated as its query rows, so nothing is repeated; against the prefix, the queries of all rows are
one matrix product per head.
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
from nla_ray.nla.model.slots.kv import SlotKV, Span

NAME = "nla_ray_slots"
"""Value of `attn_implementation` for a model whose forward pass is given `nla_slots=SlotPass(...)`."""


@dataclass(frozen=True)
class SlotPass:
    """What one forward pass needs: the keys and values, and where the rows of the batch are in them."""

    kv: SlotKV
    spans: Sequence[Span]
    empty_SC: torch.Tensor | None = None
    """True where a slot has no token, [slots, capacity]: the shorter rows of those that end together."""


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
    """Causal attention of every span's rows over prefix and own tokens; [B, T, H, D] as transformers expects.

    Rows of the batch outside all spans are unused slots; their output is zero. Scores and probabilities are
    in the model's type, the softmax is in float32. Raises EngineError for attention sinks (`s_aux`).
    """
    if s_aux is not None:
        raise EngineError("slot attention knows no attention sinks; such a model is decoded by `plain`")
    layer: int = module.layer_idx  # type: ignore[assignment]
    batch, heads, steps, width = query_BHTD.shape
    kv_heads = key_BKTD.shape[1]
    rows = heads // kv_heads * steps
    # R: the query rows of one key-value head, (query head in its group, step).
    query_BKRD = query_BHTD.reshape(batch, kv_heads, rows, width) * scaling
    deep = value_BKTD.shape[3]
    prefix = _PrefixScores(nla_slots.kv, layer, query_BKRD, deep)
    output_BKRD = query_BKRD.new_zeros(batch, kv_heads, rows, deep)
    for span in nla_slots.spans:
        key_SKDT, value_SKTD = nla_slots.kv.append(layer, span, key_BKTD, value_BKTD)
        own_SKRT = torch.matmul(query_BKRD[span.batch], key_SKDT)
        scores_SKRT = torch.cat((prefix.scores_BKRP[span.batch], own_SKRT), dim=-1)
        scores_SKRT = capped(scores_SKRT, softcap)
        hidden_TT = _hidden(scores_SKRT.shape[-1], steps, sliding_window, scores_SKRT.device)
        if hidden_TT is not None:
            scores_SKRT.masked_fill_(hidden_TT.repeat(rows // steps, 1), float("-inf"))
        if nla_slots.empty_SC is not None:
            empty_SC = nla_slots.empty_SC[span.slots, : key_SKDT.shape[-1]]
            # Not minus infinity: a query that is padding itself has nothing else to look at.
            own_SKRT = scores_SKRT[..., prefix.length :]
            own_SKRT.masked_fill_(empty_SC[:, None, None], torch.finfo(own_SKRT.dtype).min)
        probs_SKRT = torch.softmax(scores_SKRT, dim=-1, dtype=torch.float32).to(query_BHTD.dtype)
        prefix.probs_BKRP[span.batch] = probs_SKRT[..., : prefix.length]
        output_BKRD[span.batch] = torch.matmul(probs_SKRT[..., prefix.length :], value_SKTD)
    output_BKRD += prefix.output_BKRD()
    return output_BKRD.view(batch, heads, steps, deep).transpose(1, 2), None


class _PrefixScores:
    """The prefix's share of one block's attention: all rows of the batch in one product per head."""

    def __init__(self, kv: SlotKV, layer: int, query_BKRD: torch.Tensor, deep: int) -> None:
        """`deep` is the width of a value, which some families make other than a key's."""
        batch, kv_heads, rows, width = query_BKRD.shape
        empty = (query_BKRD.new_zeros(kv_heads, width, 0), query_BKRD.new_zeros(kv_heads, 0, deep))
        key_KDP, self.value_KPD = kv.prefix[layer] if kv.prefix else empty
        self.length = key_KDP.shape[2]
        query_KXD = query_BKRD.transpose(0, 1).reshape(kv_heads, batch * rows, width)
        scores_KXP = torch.bmm(query_KXD, key_KDP)
        self.scores_BKRP = scores_KXP.view(kv_heads, batch, rows, self.length).transpose(0, 1)
        self.probs_KXP = torch.zeros_like(scores_KXP)
        self.probs_BKRP = self.probs_KXP.view(kv_heads, batch, rows, self.length).transpose(0, 1)

    def output_BKRD(self) -> torch.Tensor:
        output_KXD = torch.bmm(self.probs_KXP, self.value_KPD)
        kv_heads, batch, rows = self.probs_BKRP.transpose(0, 1).shape[:3]
        return output_KXD.view(kv_heads, batch, rows, -1).transpose(0, 1)


def _hidden(total: int, steps: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """True where a query of the last `steps` of `total` tokens must not look, [steps, total]; None: nowhere.

    The future is hidden, and so is what lies `window` or more tokens back.
    """
    if steps == 1 and (window is None or window >= total):
        return None
    at = torch.arange(total, device=device)
    distance = at[total - steps :, None] - at
    return distance < 0 if window is None else (distance < 0) | (distance >= window)


AttentionInterface.register(NAME, attend)
