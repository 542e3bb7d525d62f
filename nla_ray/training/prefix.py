"""What all rows of a batch start with is run once, with its gradient; its keys and values go to every row."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


def shares(model: torch.nn.Module, body: Any) -> bool:
    """Whether the prefix can be run by itself: the only state of `body`, a part of `model`, is attention's.

    Not where blocks are run again in the backward pass, which keep no keys and values, nor where they are
    sharded, for a block's shards are gathered for one pass at a time.
    """
    # Older transformers have the other name alone, which newer ones deprecate.
    renamed = hasattr(body, "is_activation_checkpointing")
    again = body.is_activation_checkpointing if renamed else body.is_gradient_checkpointing
    if again or isinstance(model, FSDPModule):
        return False
    layers = DynamicCache(config=body.config).layers
    return all(type(one) in (DynamicLayer, DynamicSlidingWindowLayer) for one in layers)


def common_prefix(ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> int:
    """How many tokens all rows start with; each row keeps one after them."""
    same_T = (ids_BT == ids_BT[:1]).all(0).long().cumprod(0)
    return min(int(same_T.sum()), int(lengths_B.min()) - 1)


def after_prefix(body: Any, embeds_PD: torch.Tensor, rows: int) -> dict[str, Any]:
    """The options of a forward pass of the decoder stack on `rows` rows that go on after these embeddings."""
    name = "cache" if "cache" in inspect.signature(body.forward).parameters else "past_key_values"
    seen = DynamicCache()
    body(inputs_embeds=embeds_PD[None], use_cache=True, **{name: seen})
    layers: list[Any] = seen.layers
    each = [(layer.keys, layer.values) for layer in layers]
    spread = [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in each]
    return {name: DynamicCache(spread), "use_cache": True}
