"""What all rows of a batch start with is run once, with its gradient; its keys and values go to every row."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import DynamicCache

from nla_ray.nla.model.blocks.stack import cache_keyword, cached_by_attention, find_stack


def shares(model: torch.nn.Module, decoder: Any) -> bool:
    """Whether the prefix can be run by itself: `decoder`, a part of `model`, has no state but attention's.

    Not where blocks are run again in the backward pass, which keep no keys and values, nor where they are
    sharded, for a block's shards are gathered for one pass at a time.
    """
    body = find_stack(decoder).body
    # Older transformers have the other name alone, which newer ones deprecate.
    renamed = hasattr(body, "is_activation_checkpointing")
    again = body.is_activation_checkpointing if renamed else body.is_gradient_checkpointing
    return not again and not isinstance(model, FSDPModule) and cached_by_attention(body)


def common_prefix(ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> int:
    """How many tokens all rows start with; each row keeps one after them."""
    same_T = (ids_BT == ids_BT[:1]).all(0).long().cumprod(0)
    return min(int(same_T.sum()), int(lengths_B.min()) - 1)


def after_prefix(decoder: Any, embeds_PD: torch.Tensor, rows: int) -> dict[str, Any]:
    """The options of a forward pass of `decoder` on `rows` rows that go on after these embeddings.

    `decoder` is a causal LM or a bare decoder stack.
    """
    body, seen = find_stack(decoder).body, DynamicCache()
    body(inputs_embeds=embeds_PD[None], use_cache=True, **{cache_keyword(body): seen})
    layers: list[Any] = seen.layers
    each = [(layer.keys, layer.values) for layer in layers]
    spread = [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in each]
    return {cache_keyword(decoder): DynamicCache(spread), "use_cache": True}
