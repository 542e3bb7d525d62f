"""The decoder stack within any model of transformers: its embedding, its blocks, its final norm."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from nla_ray.errors import CheckpointError

NORMS = ("norm", "final_layer_norm", "final_layernorm", "ln_f", "norm_f", "embedding_norm")
"""What families call the norm after the last block."""


BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,9})\.")
"""The number of its block in the name of a tensor."""

BESIDE = re.compile(r"vision|visual|audio|multi_modal|(?:^|\.)mtp\.")
"""What is no part of the decoder, in the name of a tensor: towers, and predictors of further tokens."""

TEXT_PART = {
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.language_model\.": "model.",
}
"""Under which prefix a multimodal wrapper stores its text part (old and new layout), and its own name."""


@dataclass(frozen=True)
class Stack:
    """A decoder without its head: `body` runs `embedding`, then `blocks`, then the child named `norm` if any.

    All are modules of the model itself: what is changed here is changed there.
    """

    body: Any
    embedding: nn.Module
    blocks: nn.ModuleList
    norm: str | None

    def cut(self, layers: int) -> None:
        """Keep blocks 0..`layers`-1, in place."""
        del self.blocks[layers:]

    def view(self, layers: int) -> Stack:
        """A stack of blocks 0..`layers`-1 alone, without the final norm; the blocks are those of this one."""
        body = copy.copy(self.body)
        body._modules = dict(self.body._modules)
        name = next(name for name, part in body._modules.items() if part is self.blocks)
        body._modules[name] = self.blocks[:layers]
        view = Stack(body, self.embedding, body._modules[name], self.norm)
        view.end_at_block()
        return view

    def end_at_block(self) -> None:
        """Put the identity in place of the final norm: the body then returns what its last block does."""
        if self.norm is not None:
            setattr(self.body, self.norm, nn.Identity())


def find_stack(model: Any, source: object = "the model") -> Stack:
    """The stack of a causal LM, of a wrapper around one, or of a bare decoder.

    Raises CheckpointError naming the architecture where there is none: no list of as many blocks as the
    configuration says (or fewer, once it is cut), or no table of token embeddings.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    inner = (one for one in decoder.modules() if isinstance(one, PreTrainedModel))
    for body in (decoder, *inner):
        blocks = _longest_list(body)
        embedding = body.get_input_embeddings() if len(blocks) else None
        if 0 < len(blocks) <= body.config.num_hidden_layers and isinstance(embedding, nn.Module):
            children = dict(body.named_children())
            return Stack(body, embedding, blocks, next((one for one in NORMS if one in children), None))
    raise CheckpointError(
        f"{source}: {model.config.model_type}: no list of {model.config.num_hidden_layers} decoder blocks in "
        f"{type(model).__name__}; it cannot be cut at a block: use another model"
    )


def _longest_list(body: nn.Module) -> nn.ModuleList:
    lists = [part for part in body.children() if isinstance(part, nn.ModuleList)]
    return max(lists, key=len, default=nn.ModuleList())


def hidden(output: Any) -> torch.Tensor:
    """The hidden states [B, T, D] that a block gave: a tensor, or the first of several things."""
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


def cache_keyword(model: Any) -> str:
    """What the model's forward pass calls its cache: transformers 5.2x renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def looks_up_tokens(model: Any) -> bool:
    """Whether blocks are given more by a token than its embedding: they then run on token ids alone."""
    return bool(getattr(find_stack(model).body.config, "hidden_size_per_layer_input", 0))


def cached_by_attention(model: Any) -> bool:
    """Whether each block keeps its own keys and values and nothing else: no recurrent state, none shared."""
    try:
        layers = DynamicCache(config=model.config).layers
    except (KeyError, ValueError):  # Kinds of layers that this cache does not know.
        return False
    return all(type(one) in (DynamicLayer, DynamicSlidingWindowLayer) for one in layers)
