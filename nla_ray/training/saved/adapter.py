"""Write what trained alone: an adapter in the form of peft, an AR's head beside it, the sidecar last."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.lora import Lora
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, PREFIX, WEIGHTS_NAME
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.model.files.weights import HEAD_NAME
from nla_ray.nla.sidecar.read import Sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.training.lora import A, B, scales_of
from nla_ray.training.models import TrainableAR, TrainableAV
from nla_ray.training.saved.release import (
    BACKBONE,
    HEAD,
    Below,
    of_lm,
    share,
    within_lm,
    write_ar,
    write_av,
    write_mean,
)
from nla_ray.training.saved.source_files import copy_tokenizer

_A, _B = ".lora_A.weight", ".lora_B.weight"

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Over:
    """How an adapter is released: its options, the base, and the adapter that it was trained on top of."""

    options: Lora
    base: ModelRef
    before: Path | None = None


def write_model(
    directory: Path, model: TrainableAV | TrainableAR, state: Mapping[str, torch.Tensor], sidecar: Sidecar,
    over: Over | None,
) -> None:  # fmt: skip
    """Write a whole model from its `whole_state`, or with `over` its adapter from its `full_state`."""
    if over is not None:
        write_adapter(directory, model, state, sidecar, over)
    elif isinstance(model, TrainableAV):
        write_av(directory, model, state, sidecar)
    else:
        write_ar(directory, model, state, sidecar)


def write_adapter(
    directory: Path, model: TrainableAV | TrainableAR, state: Mapping[str, torch.Tensor], sidecar: Sidecar,
    over: Over,
) -> None:  # fmt: skip
    """Write an AV's or AR's adapter with this state (`full_state`); raises OSError.

    On top of an adapter of ours it is written as the sum of both, one adapter over the same base: its rank is
    the sum of the ranks. Of an AR there is also its head.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = _Adapter.trained(model, state, over.options)
    if over.before is not None:
        found = _Adapter.read(over.before).then(found)
    if isinstance(model, TrainableAR):
        found.write(directory, over.base, len(find_stack(model.backbone).blocks))
        head = {name: tensor.contiguous() for name, tensor in Below(state, HEAD).items()}
        save_file(head, directory / HEAD_NAME)
        sidecar = replace(sidecar, role="ar", injection=None)
    else:
        found.write(directory, over.base)
        write_mean(directory, model)
        sidecar = replace(sidecar, role="av")
    copy_tokenizer(directory, model.source, model.tokenizer)
    extraction = dict(sidecar.extra.get("extraction") or {}) | {"base_model": _named(over.base)}
    write_sidecar(directory, replace(sidecar, extra=dict(sidecar.extra) | {"extraction": extraction}))
    share(directory)


def _named(base: ModelRef) -> str:
    """The base as files name it: a hub id is followed, and of anything else it is told what to type."""
    return str(base.model_copy(update={"revision": None}))


@dataclass(frozen=True)
class _Adapter:
    """The pairs of matrices of an adapter by the names that peft gives them, and how they are scaled."""

    tensors: Tensors
    rank: int
    alpha: float
    rslora: bool

    @classmethod
    def trained(
        cls, model: TrainableAV | TrainableAR, state: Mapping[str, torch.Tensor], options: Lora
    ) -> _Adapter:
        if isinstance(model, TrainableAV):
            inside, prefix, body = of_lm(state), PREFIX, model.lm
        else:
            inside, prefix, body = Below(state, BACKBONE), PREFIX + within_lm(model), model.backbone
        tensors = {
            f"{prefix}{name}{theirs}": inside[name + ours].contiguous()
            for name in scales_of(body)
            for ours, theirs in ((A, _A), (B, _B))
        }
        return cls(tensors, options.rank, options.alpha, options.rslora)

    @classmethod
    def read(cls, directory: Path) -> _Adapter:
        """One that `write` wrote."""
        said = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
        return cls(load_file(directory / WEIGHTS_NAME), said["r"], said["lora_alpha"], said["use_rslora"])

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def then(self, other: _Adapter) -> _Adapter:
        """The sum of this one and another on top of it, as one adapter."""
        both = _Adapter({}, self.rank + other.rank, other.alpha, other.rslora)
        for name in sorted({*self.tensors, *other.tensors}):
            parts = [
                one.tensors[name] * (one.scale / both.scale if name.endswith(_B) else 1)
                for one in (self, other)
            ]
            both.tensors[name] = torch.cat(parts, dim=1 if name.endswith(_B) else 0).contiguous()
        return both

    def write(self, directory: Path, base: ModelRef, blocks: int | None = None) -> None:
        """Its configuration and weights; with `blocks` it is of the first so many blocks of a base."""
        targets = sorted({name.removesuffix(_A).rpartition(".")[2] for name in self.tensors if _A in name})
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, use_rslora=self.rslora,  # type: ignore[arg-type]
            target_modules=targets, base_model_name_or_path=_named(base),
            revision=base.revision, inference_mode=True,
            layers_to_transform=None if blocks is None else list(range(blocks)),
        )  # fmt: skip
        config.save_pretrained(str(directory))
        said = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
        said["target_modules"] = targets
        (directory / CONFIG_NAME).write_text(
            json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        save_file(self.tensors, directory / WEIGHTS_NAME, metadata={"format": "pt"})
