"""What a Megatron export adds to a reconstructor: a final norm of ones, an identity for an lm_head."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.blocks.stack import BESIDE, BLOCK, NORMS
from nla_ray.nla.model.files.weights import SafetensorsDir

_FINAL_NORM = re.compile(rf"(?:^|\.)(?:{'|'.join(NORMS)})\.(?:weight|bias)$")


def final_norms(names: Iterable[str]) -> list[str]:
    """Names of the norm after the last block."""
    return [
        name
        for name in names
        if _FINAL_NORM.search(name) and not BESIDE.search(name) and not BLOCK.search(name)
    ]


def lm_heads(names: Iterable[str]) -> list[str]:
    """Tensors of a language model's head, among these names."""
    return [name for name in names if name.endswith(("lm_head.weight", "embed_out.weight"))]


def check_placeholders(weights: SafetensorsDir, d_model: int) -> tuple[str, ...]:
    """The placeholders that are there. Raises CheckpointError for a norm or a head that is none.

    A trained norm, or a head of words, is of a model that was read in another way than at block K.
    """
    return (*check_norms(weights, d_model), *check_lm_heads(weights, d_model))


def check_norms(weights: SafetensorsDir, d_model: int) -> list[str]:
    """The same of the final norm alone."""
    norms = final_norms(weights.names)
    for name in norms:
        values = weights.tensor(name).float()
        if values.shape != (d_model,) or not bool((values == 1).all()):
            raise CheckpointError(
                f"{weights.directory}: tensor {name} is there and is not the ones of a Megatron export; the "
                "AR reads the output of block K before any norm: export it without the final norm"
            )
    return norms


def check_lm_heads(weights: SafetensorsDir, d_model: int) -> list[str]:
    """The same of the head alone."""
    heads = lm_heads(weights.names)
    for name in heads:
        shape = weights.info(name).shape
        if shape != (d_model, d_model):
            raise CheckpointError(
                f"{weights.directory}: {name} has shape {list(shape)}: this is a whole language model; use "
                "the published AR, which has a value head in its place"
            )
        if not torch.equal(weights.tensor(name).float(), torch.eye(d_model)):
            raise CheckpointError(
                f"{weights.directory}: {name} is {list(shape)} and not the identity of a Megatron export: "
                "two value heads are in there, and only one of them was trained; ask its publisher"
            )
    return heads
