"""The other side of equality tests: checkpoints loaded by plain transformers, without our loader."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from nla_ray.nla.model.backbone import alone


@cache
def full_model(directory: Path) -> transformers.PreTrainedModel:
    """The whole model as its config.json names it, float32, eager attention; a wrapper stays a wrapper."""
    name = transformers.AutoConfig.from_pretrained(directory).architectures[0]
    with alone():
        model = getattr(transformers, name).from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        )
    frozen: transformers.PreTrainedModel = model.eval().requires_grad_(False)
    return frozen


def last_block_output(directory: Path, ids: list[int]) -> torch.Tensor:
    """Output [tokens, d] of the last block of one unpadded row, before any final norm."""
    model: Any = full_model(directory)
    seen: list[torch.Tensor] = []
    block = model.get_decoder().layers[-1]
    handle = block.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    model(input_ids=torch.tensor([ids]))
    handle.remove()
    return seen[0]
