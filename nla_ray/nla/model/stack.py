"""The decoder stack within any model of transformers: its embedding, its blocks, its final norm."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from nla_ray.errors import CheckpointError

NORMS = ("norm", "final_layer_norm", "final_layernorm", "ln_f", "norm_f")
"""What families call the norm after the last block."""


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
    body = model.get_decoder() if hasattr(model, "get_decoder") else model
    lists = [(name, part) for name, part in body.named_children() if isinstance(part, nn.ModuleList)]
    name, blocks = max(lists, key=lambda one: len(one[1]), default=("", nn.ModuleList()))
    embedding, said = body.get_input_embeddings(), body.config.num_hidden_layers
    if not 0 < len(blocks) <= said or not isinstance(embedding, nn.Module):
        found = f"{len(blocks)} blocks in {name!r}, {said} expected" if name else "no list of blocks"
        raise CheckpointError(
            f"{source}: {body.config.model_type}: no decoder stack in {type(body).__name__} ({found}); it "
            "cannot be cut at a block: use a model with one plain list of decoder blocks"
        )
    children = dict(body.named_children())
    return Stack(body, embedding, blocks, next((one for one in NORMS if one in children), None))


def hidden(output: Any) -> torch.Tensor:
    """The hidden states [B, T, D] that a block gave: a tensor, or the first of several things."""
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


def cache_keyword(model: Any) -> str:
    """What the model's forward pass calls its cache: transformers 5.2x renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def cached_by_attention(model: Any) -> bool:
    """Whether each block keeps its own keys and values and nothing else: no recurrent state, none shared."""
    try:
        layers = DynamicCache(config=model.config).layers
    except (KeyError, ValueError):  # Kinds of layers that this cache does not know.
        return False
    return all(type(one) in (DynamicLayer, DynamicSlidingWindowLayer) for one in layers)
