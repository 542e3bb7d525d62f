"""The reconstructor's value head: one [d, d] matrix, of some pairs one for each block that they read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.view import layers_of
from nla_ray.nla.model.files.weights import HEAD_NAME, SafetensorsDir
from nla_ray.nla.sidecar.dialects.seen import HEADS_NAME as HEADS_NAME
from nla_ray.nla.sidecar.dialects.seen import PICKLED_HEADS

_OF_BLOCK = re.compile(r"value_heads?\.(\d+)\.weight")


@dataclass(frozen=True)
class ValueHead:
    """The tensors of one head; no values are read until they are asked for."""

    file: SafetensorsDir
    weight_name: str
    bias_name: str | None

    @property
    def shape(self) -> tuple[int, ...]:
        """[d, d]."""
        return self.file.info(self.weight_name).shape

    @property
    def dtype(self) -> str:
        """As safetensors names it."""
        return self.file.info(self.weight_name).dtype

    def check_finite(self) -> None:
        """Refuse NaN, Inf or overflowing values, by name."""
        for name in filter(None, (self.weight_name, self.bias_name)):
            self.file.check_finite(name)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight [d, d] and bias [d] (None where there is none) in float32."""
        weight = self.file.tensor(self.weight_name).float()
        return weight, None if self.bias_name is None else self.file.tensor(self.bias_name).float()


def open_value_head(directory: Path, d_model: int, layer: int) -> ValueHead:
    """The head for vectors of block `layer`: `weight` [d, d], and `bias` [d] where it has one.

    Raises CheckpointError for a missing or pickled head, another shape or another tensor, and for a block
    that has none.
    """
    if not (directory / HEAD_NAME).exists():
        if (directory / HEADS_NAME).exists():
            return _head_of_block(directory, d_model, layer)
        _refuse_pickle(directory)
        _refuse_base_head(directory)
    head = SafetensorsDir(directory, file=HEAD_NAME)
    expected = {"weight": (d_model, d_model), "bias": (d_model,)}
    for name in ("weight", *head.names):
        shape = head.info(name).shape
        if shape != expected.get(name):
            known = expected.get(name)
            wanted = f"{list(known)} was expected" if known else "only weight and bias are known"
            raise CheckpointError(f"{head.directory / HEAD_NAME}: {name} has shape {list(shape)}; {wanted}")
    return ValueHead(head, "weight", "bias" if "bias" in head.names else None)


def _head_of_block(directory: Path, d_model: int, layer: int) -> ValueHead:
    file = SafetensorsDir(directory, file=HEADS_NAME)
    found = {int(match[1]): name for name in file.names if (match := _OF_BLOCK.fullmatch(name))}
    if layer not in found:
        there = ", ".join(str(block) for block in sorted(found)) or "none"
        raise CheckpointError(
            f"{directory / HEADS_NAME}: no head for block {layer}; there are those of {there}"
        )
    shape = file.info(found[layer]).shape
    if shape != (d_model, d_model):
        raise CheckpointError(
            f"{directory / HEADS_NAME}: {found[layer]} has shape {list(shape)}; {[d_model, d_model]} was "
            "expected"
        )
    return ValueHead(file, found[layer], None)


def _refuse_pickle(directory: Path) -> None:
    for name in PICKLED_HEADS:
        if (directory / name).exists():
            raise CheckpointError(
                f"{directory / name}: a pickle, which can run code when it is loaded: `nla-ray convert-head "
                f"{directory / name}` reads its tensors alone and writes {HEAD_NAME} beside it"
            )


def _refuse_base_head(directory: Path) -> None:
    """Of an adapter the head is its own: a trainer that moved it too would have left another one behind."""
    layers = layers_of(directory)
    if layers is None:
        return
    there = [name for name in (HEAD_NAME, HEADS_NAME) if (layers.base / name).exists()]
    remedy = f"download it again with its {HEAD_NAME}"
    if there:
        remedy = (
            f"its base has one ({layers.base / there[0]}), and whether that went on training is not told: if "
            "it stayed as it was, copy it to the adapter"
        )
    raise CheckpointError(f"{directory}: a reconstructor's adapter without a value head; {remedy}")
